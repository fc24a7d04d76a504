//! Solvers of order 2 with an eval at the midpoint of each step, in ln ρ.

use super::euler::{euler_mix, euler_row};
use super::{DefaultSteps, Denoiser, Facts, Method, SamplerOption, Step};
use crate::{Error, Grid, Mix, Point, Row};

/// The slope at the midpoint in ln ρ, which Euler's method reaches, takes the whole
/// step: x' = x + ε̂_m (ρ' − ρ) in the coordinates x/α, with ρ_m² = ρ ρ'. 2 evals per
/// step, 1 in a step to the data: 2S − 1 in all. A step out of pure noise, which has no
/// midpoint, is DDIM's, with 1 eval.
///
/// # Source
///
/// Lu et al. 2022, DPM-Solver-2, algorithm 1 with r_1 = ½,
/// <https://arxiv.org/abs/2206.00927>; k-diffusion, `sample_dpm_2` without churn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpm2;

impl Dpm2 {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for Dpm2 {
    fn facts(&self) -> Facts {
        Facts {
            name: "dpm2",
            field: "dpm2",
            default_steps: DefaultSteps::AtMost(50),
            grid: None,
            rows_per_step: 2,
            multistep: false,
            divides_by_steps: false,
            encodes: false,
            takes_mean: false,
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let step = |(from, to): (Point, Point)| {
            let rows = if to.is_data() || from.is_pure_noise() {
                vec![euler_row(denoiser, &from, &to)?]
            } else {
                let (trial, middle) = to_midpoint(denoiser, &from, to.rho())?;
                let mut whole = denoiser.row(&middle)?;
                whole.u = along_slope(&from, &middle, &to, to.rho());
                vec![trial, whole]
            };
            Ok(Step { from, to, rows })
        };
        grid.intervals().map(step).collect()
    }
}

/// The row to the midpoint in ln ρ between `from` and `rho`, both finite and above 0, and
/// that point. The state at `from` stays as the anchor.
fn to_midpoint(denoiser: &Denoiser<'_>, from: &Point, rho: f64) -> Result<(Row, Point), Error> {
    let middle = denoiser.network.process.at_rho((from.rho() * rho).sqrt())?;
    let mut trial = denoiser.row(from)?;
    trial.u = euler_mix(from, &middle);
    trial.y = Mix { u: 1.0, ..Mix::ZERO };
    trial.label.noise_level = middle.noise_level();
    Ok((trial, middle))
}

/// α' (y/α + ε̂_m (rho − ρ)): from the anchor down to `rho`, at the scale of `to`.
fn along_slope(from: &Point, middle: &Point, to: &Point, rho: f64) -> Mix {
    let step = to.alpha * (rho - from.rho());
    Mix {
        y: to.alpha / from.alpha,
        u: step / middle.sigma,
        x_0: -step * middle.alpha / middle.sigma,
        ..Mix::ZERO
    }
}
