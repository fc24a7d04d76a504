//! Solvers of order 2 with an eval at the midpoint of each step, in ln ρ.

use super::euler::{euler_mix, euler_row, fresh_noise_options};
use super::{Denoiser, EulerAncestral, Facts, Method, SamplerOption, Step};
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
        Facts::two_rows("dpm2", "dpm2")
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

/// [`Dpm2`] to a lower noise than the next point's, and fresh noise up to it, as
/// [`EulerAncestral`] divides them: 2 evals per step, 1 in a step to the data and in one
/// out of pure noise, which is [`EulerAncestral`]'s.
///
/// # Source
///
/// k-diffusion, `sample_dpm_2_ancestral`; σ_up and σ_down as in Song et al. 2021,
/// appendix F, <https://arxiv.org/abs/2011.13456>, for η = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpm2Ancestral {
    /// Share of the fresh noise, in [0, 1].
    pub eta: f64,
    /// Scale of it, in (0, 2].
    pub s_noise: f64,
}

impl Dpm2Ancestral {
    /// With all of the fresh noise.
    pub const DEFAULT: Self = Self { eta: 1.0, s_noise: 1.0 };
}

impl Method for Dpm2Ancestral {
    fn facts(&self) -> Facts {
        Facts::two_rows("dpm2-ancestral", "dpm2_ancestral")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        fresh_noise_options(&mut self.eta, &mut self.s_noise)
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let Self { eta, s_noise } = *self;
        with_fresh_noise(denoiser, grid, EulerAncestral { eta, s_noise }, along_slope)
    }
}

/// DPM-Solver++(2S), the exponential integrator in the prediction of x_0, with
/// [`EulerAncestral`]'s fresh noise: x' = (ρ'/ρ) x + (1 − ρ'/ρ) x_0 in the coordinates
/// x/α, with x_0 as predicted at the midpoint. 2 evals per step, 1 in a step to the data
/// and in one out of pure noise, which is [`EulerAncestral`]'s.
///
/// # Source
///
/// Lu et al. 2022, DPM-Solver++, algorithm 1 with r = ½,
/// <https://arxiv.org/abs/2211.01095>; with noise as k-diffusion's
/// `sample_dpmpp_2s_ancestral`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpmSolverPp2sAncestral {
    /// Share of the fresh noise, in [0, 1].
    pub eta: f64,
    /// Scale of it, in (0, 2].
    pub s_noise: f64,
}

impl DpmSolverPp2sAncestral {
    /// With all of the fresh noise.
    pub const DEFAULT: Self = Self { eta: 1.0, s_noise: 1.0 };
}

impl Method for DpmSolverPp2sAncestral {
    fn facts(&self) -> Facts {
        Facts::two_rows("dpm++2s-ancestral", "dpm_solver_pp_2s_ancestral")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        fresh_noise_options(&mut self.eta, &mut self.s_noise)
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let Self { eta, s_noise } = *self;
        with_fresh_noise(denoiser, grid, EulerAncestral { eta, s_noise }, towards_x_0)
    }
}

/// The mix from the anchor at `from` down to a σ/α by the prediction at the midpoint, at
/// the scale of `to`.
type Whole = fn(from: &Point, middle: &Point, to: &Point, rho: f64) -> Mix;

/// Steps down by the midpoint, each with noise at its end; those that have no midpoint
/// are of `first_order`.
fn with_fresh_noise(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    first_order: EulerAncestral,
    whole: Whole,
) -> Result<Vec<Step>, Error> {
    let step = |(from, to): (Point, Point)| {
        if to.is_data() || from.is_pure_noise() {
            let rows = vec![first_order.row(denoiser, &from, &to)?];
            return Ok(Step { from, to, rows });
        }
        let (down, up) = down_and_up(first_order.eta, &from, &to);
        let (trial, middle) = to_midpoint(denoiser, &from, down)?;
        let mut noisy = denoiser.row(&middle)?;
        noisy.u = whole(&from, &middle, &to, down);
        noisy.u.z = to.alpha * first_order.s_noise * up;
        Ok(Step { from, to, rows: vec![trial, noisy] })
    };
    grid.intervals().map(step).collect()
}

/// σ_down and σ_up of [`EulerAncestral`].
fn down_and_up(eta: f64, from: &Point, to: &Point) -> (f64, f64) {
    let ratio = to.rho() / from.rho();
    let up = to.rho() * eta * (1.0 - ratio * ratio).max(0.0).sqrt();
    // σ'² − σ_up² without the cancellation, so that it is above 0 in the longest step.
    let down = to.rho() * ((1.0 - eta * eta) + (eta * ratio).powi(2)).sqrt();
    (down, up)
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

/// α' ((rho/ρ) y/α + (1 − rho/ρ) x_0): from the anchor down to `rho`, at the scale of `to`.
fn towards_x_0(from: &Point, _middle: &Point, to: &Point, rho: f64) -> Mix {
    let kept = rho / from.rho();
    Mix { y: to.alpha / from.alpha * kept, x_0: to.alpha * (1.0 - kept), ..Mix::ZERO }
}
