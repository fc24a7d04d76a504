//! Restart sampling: back to more noise, and down again, a few times.

use super::heun::{add_noise, heun_rows};
use super::{Denoiser, Facts, Heun, Method, SamplerOption, Step};
use crate::{Error, Grid, Point};

/// Heun's method with one restart interval. The repetitions belong to the step
/// that reaches `t_min`: what is shown is its result. 2 evals per step, and 2 per
/// step of each way down.
///
/// A grid of one step to the data is refused, and a `t_max` that is not above the
/// point where it restarts.
///
/// # Source
///
/// Xu et al. 2023, algorithm 1, <https://arxiv.org/abs/2306.14878>; on the way
/// down the points are those of Karras et al. with ρ = 7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restart {
    /// It restarts at the first point at or below this sigma, or at the last one
    /// before the data if none is.
    pub t_min: f64,
    /// The sigma it goes back to.
    pub t_max: f64,
    /// Steps of each way down, from 1 to 100.
    pub steps: u32,
    /// How often, from 1 to 100.
    pub repeats: u32,
}

impl Restart {
    /// Twice from 0.05 to 0.3 and down in 4 steps.
    pub const DEFAULT: Self = Self { t_min: 0.05, t_max: 0.3, steps: 4, repeats: 2 };
}

impl Method for Restart {
    fn facts(&self) -> Facts {
        Facts::two_rows("restart", "restart")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        let t_min = self.t_min;
        vec![
            SamplerOption::number("t-min", &mut self.t_min, 1e-6..=1e6),
            SamplerOption::number("t-max", &mut self.t_max, t_min..=1e6),
            SamplerOption::count("steps", &mut self.steps, 1..=100),
            SamplerOption::count("repeats", &mut self.repeats, 1..=100),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let mut steps = Heun.steps(denoiser, grid)?;
        let points = || steps.iter().map(|step: &Step| step.to);
        let reached = points().position(|to| !to.is_data() && to.rho() <= self.t_min);
        // A grid of few steps has no point as low: the last one before the data comes nearest.
        let Some(at) = reached.or_else(|| points().rposition(|to| !to.is_data())) else {
            return Err(Error::num_steps("restart needs num_steps of at least 2"));
        };
        let step = &mut steps[at];
        if self.t_max <= step.to.rho() {
            let reason = format!("must be above {}, where it restarts", step.to.rho());
            return Err(Error::option("t-max", reason));
        }
        let points = self.way_down(denoiser, &step.to)?;
        for _ in 0..self.repeats {
            step.rows.push(add_noise(&step.to, &points[0], 1.0));
            for pair in points.windows(2) {
                step.rows.extend(heun_rows(denoiser, &pair[0], &pair[1])?);
            }
        }
        Ok(steps)
    }
}

impl Restart {
    /// The points from `t_max` to where the restart began, both included.
    fn way_down(&self, denoiser: &Denoiser<'_>, end: &Point) -> Result<Vec<Point>, Error> {
        let root = |sigma: f64| sigma.powf(1.0 / 7.0);
        let (high, low) = (root(self.t_max), root(end.rho()));
        let sigma = |k: u32| (high + (low - high) * f64::from(k) / f64::from(self.steps)).powi(7);
        let above = (0..self.steps).map(|k| denoiser.network.process.at_rho(sigma(k)));
        above.chain([Ok(*end)]).collect()
    }
}
