//! Restart sampling: back to more noise, and down again, a few times.

use super::{
    Denoiser, Step,
    heun::{add_noise, heun, heun_rows},
};
use crate::{Error, Grid, Point};

/// Where and how often to go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// At the first point of the grid at or below this sigma, or the last one …
    pub(crate) t_min: f64,
    /// … go back to this one …
    pub(crate) t_max: f64,
    /// … and come down again in so many steps of Heun …
    pub(crate) steps: usize,
    /// … so many times.
    pub(crate) repeats: usize,
}

/// Heun's method with one restart interval. The repetitions belong to the step
/// that reaches `t_min`: what is shown is its result.
///
/// # Errors
///
/// [`Error::Grid`] for a grid of one step to the data; [`Error::Option`] if `t_max`
/// is not above the point where it restarts.
///
/// # Source
///
/// Xu et al. 2023, algorithm 1, <https://arxiv.org/abs/2306.14878>; on the way
/// down the points are those of Karras et al. with ρ = 7.
pub(crate) fn restart(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    options: Restart,
) -> Result<Vec<Step>, Error> {
    let mut steps = heun(denoiser, grid)?;
    let points = || steps.iter().map(|step: &Step| step.to);
    let reached = points().position(|to| !to.is_data() && to.rho() <= options.t_min);
    // A grid of few steps has no point as low: the last one before the data comes nearest.
    let Some(at) = reached.or_else(|| points().rposition(|to| !to.is_data())) else {
        return Err(Error::Grid("restart needs num_steps of at least 2".into()));
    };
    let step = &mut steps[at];
    if options.t_max <= step.to.rho() {
        let reason = format!("must be above {}, where it restarts", step.to.rho());
        return Err(Error::Option { option: "t-max", reason });
    }
    let points = down(denoiser, &step.to, options)?;
    for _ in 0..options.repeats {
        step.rows.push(add_noise(&step.to, &points[0], 1.0));
        for pair in points.windows(2) {
            step.rows.extend(heun_rows(denoiser, &pair[0], &pair[1])?);
        }
    }
    Ok(steps)
}

/// The points from `t_max` to where the restart began, both included.
fn down(denoiser: &Denoiser<'_>, end: &Point, options: Restart) -> Result<Vec<Point>, Error> {
    let root = |sigma: f64| sigma.powf(1.0 / 7.0);
    let (high, low) = (root(options.t_max), root(end.rho()));
    let sigma = |k: usize| (high + (low - high) * k as f64 / options.steps as f64).powi(7);
    let above = (0..options.steps).map(|k| denoiser.network.process.at_rho(sigma(k)));
    above.chain([Ok(*end)]).collect()
}
