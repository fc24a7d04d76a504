//! Denoising diffusion implicit models (Song et al. 2020), both ways.

use super::{
    ClippedEps, Denoiser, Step, Transition,
    step::{X_0, one_row_a_step},
};
use crate::{Error, Grid, Mix, Point, Row};

/// u' = α_s x_0 + √(σ_s² − s²) ε̂ + s z with s² = η² β̃: one eval a step.
///
/// * `eta`: 0 is deterministic, 1 has DDPM's noise (fixed-small); in [0, 1].
///
/// # Source
///
/// Song et al. 2020, equation 12, <https://arxiv.org/abs/2010.02502>. That paper
/// writes α for α².
pub(crate) fn ddim(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    eta: f64,
    clipped_eps: ClippedEps,
) -> Result<Vec<Step>, Error> {
    one_row_a_step(grid, |_, from, to| {
        let mut row = denoiser.row(&from)?;
        if to.is_data() {
            row.u = X_0;
            return Ok(row);
        }
        let variance = eta * eta * Transition::new(from, to, None).posterior_variance();
        let direction = (to.sigma * to.sigma - variance).max(0.0).sqrt();
        row.u = along(&row, &from, &to, direction, clipped_eps);
        row.u.z = variance.sqrt();
        Ok(row)
    })
}

/// The deterministic walk from data to noise: an image becomes the x_T that DDIM
/// turns back into it. It takes the intervals of the grid backwards, but for the one
/// that ends at the data, where no noise is left to tell: the sample starts as the
/// state at the least noisy point, which is the grid's end if that is above 0.
///
/// # Source
///
/// Song et al. 2020, section 4.3: the steps of η = 0 with t and s exchanged.
pub(crate) fn ddim_inverse(denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
    let mut intervals: Vec<_> = grid.intervals().filter(|(_, to)| !to.is_data()).collect();
    intervals.reverse();
    // Backwards, an interval begins where it ended.
    let step = |(to, from): (Point, Point)| {
        let mut row = denoiser.row(&from)?;
        row.u = along(&row, &from, &to, to.sigma, ClippedEps::Recompute);
        Ok(Step { from, to, rows: vec![row] })
    };
    intervals.into_iter().map(step).collect()
}

/// α_s x_0 + `direction` ε̂.
fn along(row: &Row, from: &Point, to: &Point, direction: f64, clipped_eps: ClippedEps) -> Mix {
    let scale = direction / from.sigma;
    let of_x_0 = scale * from.alpha;
    match clipped_eps {
        ClippedEps::Recompute => Mix { u: scale, x_0: to.alpha - of_x_0, ..Mix::ZERO },
        // ε̂ with x_0 = p_u u + p_F F before the clip.
        ClippedEps::Keep => Mix {
            u: scale - of_x_0 * row.x_0.p_u,
            f: -of_x_0 * row.x_0.p_f,
            x_0: to.alpha,
            ..Mix::ZERO
        },
    }
}
