//! Euler's method on the probability-flow ODE, and its ancestral form.

use super::{
    Denoiser, Step,
    step::{X_0, one_row_a_step},
};
use crate::{Error, Grid, Mix, Point, Row};

/// dx/dρ = ε̂ in the coordinates x/α: one eval a step.
///
/// It is DDIM with η = 0, and Euler's method along a rectified flow too: the
/// three differ only in the grids that they are used with.
///
/// # Source
///
/// Karras et al. 2022, equation 3; Song et al. 2020, section 4.3.
pub(crate) fn euler(denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
    one_row_a_step(grid, |_, from, to| euler_row(denoiser, &from, &to))
}

pub(crate) fn euler_row(denoiser: &Denoiser<'_>, from: &Point, to: &Point) -> Result<Row, Error> {
    let mut row = denoiser.row(from)?;
    row.u = euler_mix(from, to);
    Ok(row)
}

/// α' x_0 + σ' ε̂.
pub(crate) fn euler_mix(from: &Point, to: &Point) -> Mix {
    if to.is_data() {
        return X_0;
    }
    let scale = to.sigma / from.sigma;
    Mix { u: scale, x_0: to.alpha - from.alpha * scale, ..Mix::ZERO }
}

/// Euler's method to a lower noise than the next point's, and fresh noise up to
/// it: one eval a step.
///
/// * `eta`: share of the fresh noise, in [0, 1].
/// * `s_noise`: scale of it, in (0, 2].
///
/// # Source
///
/// k-diffusion, `sample_euler_ancestral`: σ_up² = η² σ'² (σ² − σ'²)/σ², at most
/// σ'²; σ_down² = σ'² − σ_up².
pub(crate) fn euler_ancestral(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    eta: f64,
    s_noise: f64,
) -> Result<Vec<Step>, Error> {
    one_row_a_step(grid, |_, from, to| {
        let mut row = denoiser.row(&from)?;
        if to.is_data() {
            row.u = X_0;
            return Ok(row);
        }
        let ratio = to.rho() / from.rho();
        let up = to.rho() * (eta * (1.0 - ratio * ratio).max(0.0).sqrt()).min(1.0);
        let down = (to.rho() * to.rho() - up * up).max(0.0).sqrt();
        // Without a division by α, which is 0 at pure noise.
        row.u.u = to.alpha * down / from.sigma;
        row.u.x_0 = to.alpha * (1.0 - down / from.rho());
        row.u.z = to.alpha * s_noise * up;
        Ok(row)
    })
}
