//! Heun's method on the probability-flow ODE, with and without churn.

use super::euler::{euler_mix, euler_row};
use super::step::push_eps;
use super::{Denoiser, Facts, Method, SamplerOption, Step};
use crate::{Error, Evals, Grid, Mix, Point, Row};

/// 2 evals per step, 1 in a step to the data: 2S − 1 in all. A step out of pure
/// noise, where the slope in ρ is infinite, is DDIM's, with 1 eval.
///
/// # Source
///
/// Karras et al. 2022, algorithm 1, <https://arxiv.org/abs/2206.00364>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heun;

impl Heun {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for Heun {
    fn facts(&self) -> Facts {
        Facts::two_rows("heun", "heun")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let step = |(from, to)| Ok(Step { from, to, rows: heun_rows(denoiser, &from, &to)? });
        grid.intervals().map(step).collect()
    }
}

/// [`Heun`] with churn: noise that is added before a step and taken away by it.
///
/// # Source
///
/// Karras et al. 2022, algorithm 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdmHeun {
    /// Noise added over the whole run, in [0, 1000].
    pub s_churn: f64,
    /// Least sigma at which noise is added.
    pub s_tmin: f64,
    /// Largest sigma at which noise is added.
    pub s_tmax: f64,
    /// Scale of it, in (0, 2].
    pub s_noise: f64,
}

impl EdmHeun {
    /// The numbers of Karras et al. 2022 for ImageNet.
    pub const DEFAULT: Self = Self { s_churn: 40.0, s_tmin: 0.05, s_tmax: 50.0, s_noise: 1.003 };
}

impl Method for EdmHeun {
    fn facts(&self) -> Facts {
        Facts::two_rows("edm-heun", "edm_heun")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        let s_tmin = self.s_tmin;
        vec![
            SamplerOption::number("s-churn", &mut self.s_churn, 0.0..=1000.0),
            SamplerOption::number("s-tmin", &mut self.s_tmin, 0.0..=1e6),
            SamplerOption::number("s-tmax", &mut self.s_tmax, s_tmin..=1e6),
            SamplerOption::number("s-noise", &mut self.s_noise, 1e-6..=2.0),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let most = self.s_churn / grid.points().len() as f64;
        let step = |(from, to): (Point, Point)| {
            let acts = (self.s_tmin..=self.s_tmax).contains(&from.rho());
            let gamma = if acts { most.min(std::f64::consts::SQRT_2 - 1.0) } else { 0.0 };
            if gamma == 0.0 {
                return Ok(Step { from, to, rows: heun_rows(denoiser, &from, &to)? });
            }
            let above = denoiser.network.process.at_rho(from.rho() * (1.0 + gamma))?;
            let mut rows = vec![add_noise(&from, &above, self.s_noise)];
            rows.extend(heun_rows(denoiser, &above, &to)?);
            Ok(Step { from, to, rows })
        };
        grid.intervals().map(step).collect()
    }
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
/// step alone where one of the slopes does not exist.
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
