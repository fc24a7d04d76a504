//! Samplers of networks that jump to the data at once: consistency models and
//! their latent kin. They run on networks that were not trained for it, and pay on
//! those that were.

use super::{Denoiser, Step, step::one_row_a_step};
use crate::{Edm, Error, Grid, Mix, Point, Process, Row};

/// Jump to the data, then back to the noise of the next point: one eval a step.
///
/// * `sigma_min`: the least sigma that the network was trained for; there it is
///   the identity.
/// * `shifted`: whether x_0 follows from an EDM network's output by the shifted
///   coefficients of consistency models rather than by EDM's own.
///
/// # Source
///
/// Song et al. 2023, algorithm 1 and appendix C, <https://arxiv.org/abs/2303.01469>.
pub(crate) fn consistency(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    sigma_min: f64,
    shifted: bool,
) -> Result<Vec<Step>, Error> {
    one_row_a_step(grid, |_, from, to| {
        let mut row = denoiser.row(&from)?;
        if shifted {
            shift_boundary(denoiser, &from, sigma_min, &mut row)?;
        }
        let spread = (to.rho() * to.rho() - sigma_min * sigma_min).max(0.0).sqrt();
        row.u = Mix { x_0: to.alpha, ..Mix::ZERO };
        row.u.z = if to.is_data() { 0.0 } else { to.alpha * spread };
        Ok(row)
    })
}

/// c_skip and c_out that make the network the identity at `sigma_min`, not at 0.
fn shift_boundary(
    denoiser: &Denoiser<'_>,
    from: &Point,
    sigma_min: f64,
    row: &mut Row,
) -> Result<(), Error> {
    let Process::Edm(Edm { sigma_data, .. }) = denoiser.network.process else {
        return Err(Error::Option {
            option: "precondition",
            reason: "`consistency` is for EDM networks; leave it out for this one".into(),
        });
    };
    let above = from.sigma - sigma_min;
    row.x_0.p_u = sigma_data * sigma_data / (above * above + sigma_data * sigma_data);
    row.x_0.p_f = above * sigma_data / from.sigma.hypot(sigma_data);
    Ok(())
}

/// As [`consistency`], with the skip connection of latent consistency models
/// between x and x_0: one eval a step.
///
/// # Errors
///
/// [`Error::Sampler`] for an EDM network: the skip connection is one of timesteps,
/// and EDM's ln σ / 4 may be negative.
///
/// # Source
///
/// Luo et al. 2023, equation 9 and algorithm 3, <https://arxiv.org/abs/2310.04378>,
/// with σ_data = 0.5 and timesteps scaled by 10 as in diffusers.
pub(crate) fn lcm(denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
    const SIGMA_DATA: f64 = 0.5;
    const TIMESTEP_SCALING: f64 = 10.0;
    if let Process::Edm(_) = denoiser.network.process {
        let reason = "lcm counts in timesteps, which an EDM network does not have: use consistency";
        return Err(Error::Sampler(reason.into()));
    }
    one_row_a_step(grid, |_, from, to| {
        let mut row = denoiser.row(&from)?;
        let scaled = from.t * TIMESTEP_SCALING;
        let c_skip = SIGMA_DATA * SIGMA_DATA / (scaled * scaled + SIGMA_DATA * SIGMA_DATA);
        let c_out = scaled / scaled.hypot(SIGMA_DATA);
        row.u = Mix { u: to.alpha * c_skip, x_0: to.alpha * c_out, z: to.sigma, ..Mix::ZERO };
        Ok(row)
    })
}
