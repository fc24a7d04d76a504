//! Euler's method on the probability-flow ODE, and its ancestral form.

use super::step::{X_0, one_row_per_step};
use super::{Denoiser, Facts, Method, SamplerOption, Step};
use crate::{Error, Grid, GridSpec, Mix, Point, Row};

/// dx/dρ = ε̂ in the coordinates x/α: 1 eval per step.
///
/// It is DDIM with η = 0, and Euler's method along a rectified flow too: the
/// three differ only in the grids that they are used with.
///
/// # Source
///
/// Karras et al. 2022, equation 3; Song et al. 2020, section 4.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Euler;

impl Euler {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for Euler {
    fn facts(&self) -> Facts {
        Facts::one_row("euler", "euler")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        one_row_per_step(grid, |_, from, to| euler_row(denoiser, &from, &to))
    }
}

/// [`Euler`] along a rectified flow; its own grid is `flow`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowEuler;

impl FlowEuler {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for FlowEuler {
    fn facts(&self) -> Facts {
        Facts {
            grid: Some(GridSpec::Flow { shift: 1.0 }),
            ..Facts::one_row("flow-euler", "flow_euler")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        Euler.steps(denoiser, grid)
    }
}

/// Euler's method to a lower noise than the next point's, and fresh noise up to
/// it: 1 eval per step.
///
/// # Source
///
/// k-diffusion, `sample_euler_ancestral`: σ_up² = η² σ'² (σ² − σ'²)/σ², at most
/// σ'²; σ_down² = σ'² − σ_up².
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EulerAncestral {
    /// Share of the fresh noise, in [0, 1].
    pub eta: f64,
    /// Scale of it, in (0, 2].
    pub s_noise: f64,
}

impl EulerAncestral {
    /// With all of the fresh noise.
    pub const DEFAULT: Self = Self { eta: 1.0, s_noise: 1.0 };
}

/// The options of samplers with fresh noise in each step.
pub(super) fn fresh_noise_options<'a>(
    eta: &'a mut f64,
    s_noise: &'a mut f64,
) -> Vec<SamplerOption<'a>> {
    vec![
        SamplerOption::number("eta", eta, 0.0..=1.0),
        SamplerOption::number("s-noise", s_noise, 1e-6..=2.0),
    ]
}

impl Method for EulerAncestral {
    fn facts(&self) -> Facts {
        Facts::one_row("euler-ancestral", "euler_ancestral")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        fresh_noise_options(&mut self.eta, &mut self.s_noise)
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        one_row_per_step(grid, |_, from, to| self.row(denoiser, &from, &to))
    }
}

impl EulerAncestral {
    /// The row of a step.
    pub(crate) fn row(
        &self,
        denoiser: &Denoiser<'_>,
        from: &Point,
        to: &Point,
    ) -> Result<Row, Error> {
        let mut row = denoiser.row(from)?;
        if to.is_data() {
            row.u = X_0;
            return Ok(row);
        }
        let ratio = to.rho() / from.rho();
        let up = to.rho() * (self.eta * (1.0 - ratio * ratio).max(0.0).sqrt()).min(1.0);
        let down = (to.rho() * to.rho() - up * up).max(0.0).sqrt();
        // Without a division by α, which is 0 at pure noise.
        row.u.u = to.alpha * down / from.sigma;
        row.u.x_0 = to.alpha * (1.0 - down / from.rho());
        row.u.z = to.alpha * self.s_noise * up;
        Ok(row)
    }
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
