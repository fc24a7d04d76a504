//! Heun's method on the probability-flow ODE, with and without churn.

use super::{
    Denoiser, Step,
    euler::{euler_mix, euler_row},
    step::push_eps,
};
use crate::{Error, Evals, Grid, Mix, Point, Row};

/// Churn: noise that is added before a step and taken away by it.
///
/// Karras et al. 2022, algorithm 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Churn {
    /// How much over the whole run; 0 is none.
    pub(crate) s_churn: f64,
    /// Least and largest sigma at which it acts.
    pub(crate) s_tmin: f64,
    pub(crate) s_tmax: f64,
    /// Scale of the added noise.
    pub(crate) s_noise: f64,
}

/// Two evals a step, one in a step to the data: 2S − 1 in all. A step out of pure
/// noise, where the slope in ρ has no end, is DDIM's, of one eval.
///
/// # Source
///
/// Karras et al. 2022, algorithm 1, <https://arxiv.org/abs/2206.00364>.
pub(crate) fn heun(denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
    let step = |(from, to)| Ok(Step { from, to, rows: heun_rows(denoiser, &from, &to)? });
    grid.intervals().map(step).collect()
}

/// [`heun`] from noisier points than the grid's.
///
/// # Source
///
/// Karras et al. 2022, algorithm 2.
pub(crate) fn edm_heun(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    churn: Churn,
) -> Result<Vec<Step>, Error> {
    let num_steps = grid.points().len() as f64;
    let most = churn.s_churn / num_steps;
    let step = |(from, to): (Point, Point)| {
        let acts = (churn.s_tmin..=churn.s_tmax).contains(&from.rho());
        let gamma = if acts { most.min(std::f64::consts::SQRT_2 - 1.0) } else { 0.0 };
        if gamma == 0.0 {
            return Ok(Step { from, to, rows: heun_rows(denoiser, &from, &to)? });
        }
        let above = denoiser.network.process.at_rho(from.rho() * (1.0 + gamma))?;
        let mut rows = vec![add_noise(&from, &above, churn.s_noise)];
        rows.extend(heun_rows(denoiser, &above, &to)?);
        Ok(Step { from, to, rows })
    };
    grid.intervals().map(step).collect()
}

/// The row without an eval that takes a sample up to a noisier point.
///
/// In the coordinates x/α the noise that is missing has the variance ρ_t² − ρ_s².
pub(crate) fn add_noise(from: &Point, to: &Point, s_noise: f64) -> Row {
    if to.alpha == 0.0 {
        return noise_row(to, Mix { z: to.sigma, ..Mix::ZERO });
    }
    let missing = (to.rho() * to.rho() - from.rho() * from.rho()).max(0.0).sqrt();
    noise_row(to, Mix { u: to.alpha / from.alpha, z: to.alpha * missing * s_noise, ..Mix::ZERO })
}

fn noise_row(to: &Point, mix: Mix) -> Row {
    let mut row = Row::at(to.t);
    row.evals = Evals::Zero;
    row.u = mix;
    row.label.noise_level = to.noise_level();
    row
}

/// The trial to the next point and the step with the mean of both slopes; Euler's
/// step alone where one of the slopes is not there.
pub(crate) fn heun_rows(
    denoiser: &Denoiser<'_>,
    from: &Point,
    to: &Point,
) -> Result<Vec<Row>, Error> {
    if to.is_data() || from.is_pure_noise() {
        return Ok(vec![euler_row(denoiser, from, to)?]);
    }
    let mut trial = denoiser.row(from)?;
    trial.u = euler_mix(from, to);
    trial.y = Mix { u: 1.0, ..Mix::ZERO };
    trial.push = Some(push_eps(from));

    let mut corrected = denoiser.row(to)?;
    let half = to.alpha * (to.rho() - from.rho()) / 2.0;
    corrected.u = Mix {
        y: to.alpha / from.alpha,
        h: [half, 0.0, 0.0],
        u: half / to.sigma,
        x_0: -half * to.alpha / to.sigma,
        ..Mix::ZERO
    };
    Ok(vec![trial, corrected])
}
