//! Restart sampling: back to more noise, and down again, a few times.

use super::{
    Denoiser, Step,
    heun::{add_noise, heun, heun_rows},
};
use crate::{Error, Grid, Point};

/// Where and how often to go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// At the first point of the grid at or below this sigma …
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
/// [`Error::Option`] if the grid has no point between the data and `t_min`, or
/// `t_max` is not above that point.
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
    let reached = |step: &&mut Step| !step.to.is_data() && step.to.rho() <= options.t_min;
    let Some(step) = steps.iter_mut().find(reached) else {
        return Err(Error::Option {
            option: "t-min",
            reason: format!("no point of the grid has a sigma in (0, {}]", options.t_min),
        });
    };
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
