//! The forward process x = α x_0 + σ ε that a network was trained on.
//!
//! There are three processes, and samplers know none of them: they see only
//! [`Point`]s. Where a single number names a point, it is σ/α, the σ of the VE
//! literature: the standard deviation of the noise relative to unscaled data. It is
//! called `rho` here and *sigma* in every interface.

use serde::{Deserialize, Serialize};

use crate::{Error, Schedule};

/// What a network was trained on, and the coordinates of the samples it sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Process {
    /// T steps that preserve variance: α = √ᾱ_t, σ = √(1−ᾱ_t)
    /// (Ho et al. 2020, equation 4).
    Discrete(Schedule),
    /// Noise is added to unscaled data: α = 1, any σ (Karras et al. 2022).
    Edm(Edm),
    /// The straight line from data to noise: α = 1−t, σ = t for t in [0, 1]
    /// (Lipman et al. 2022; Liu et al. 2022).
    Flow,
}

/// The range of noise of an EDM network, and the scale of its data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Edm {
    /// Least σ of the default grids; above 0.
    pub sigma_min: f64,
    /// Largest σ, where sampling starts.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
}

impl Edm {
    /// The numbers of Karras et al. 2022, table 1.
    pub const PAPER: Self = Self { sigma_min: 0.002, sigma_max: 80.0, sigma_data: 0.5 };

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] unless 0 < `sigma_min` < `sigma_max` ≤ 10,000 and
    /// 0 < `sigma_data` ≤ 1,000.
    pub fn check(self) -> Result<Self, Error> {
        let Self { sigma_min, sigma_max, sigma_data } = self;
        let ordered = sigma_min > 0.0 && sigma_min < sigma_max && sigma_max <= 1e4;
        if ordered && sigma_data > 0.0 && sigma_data <= 1e3 {
            return Ok(self);
        }
        Err(Error::Schedule(format!(
            "EDM wants 0 < sigma_min < sigma_max <= 10000 and 0 < sigma_data <= 1000, \
             got {sigma_min}, {sigma_max} and {sigma_data}"
        )))
    }
}

/// A point of the forward process: x = α x_0 + σ ε.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The network's time input: the timestep, ln σ / 4 for EDM, 1000 t for a flow.
    pub t: f64,
    /// Scale of the data.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// The trained timestep, if the point is exactly at one.
    pub timestep: Option<usize>,
}

impl Point {
    /// The data itself.
    pub const DATA: Self = Self { t: 0.0, alpha: 1.0, sigma: 0.0, timestep: None };

    /// Computes σ/α, the noise relative to unscaled data. Infinite where α = 0.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.sigma / self.alpha
    }

    /// Computes λ = ln(α/σ), half the log signal-to-noise ratio.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        (self.alpha / self.sigma).ln()
    }

    /// Returns whether this is the data.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.sigma == 0.0
    }

    /// Returns whether nothing of the data is left: α = 0.
    #[must_use]
    pub fn is_pure_noise(&self) -> bool {
        self.alpha == 0.0
    }

    /// Returns the share of noise in x: 1 is pure noise, 0 is data.
    #[must_use]
    pub fn noise_level(&self) -> f64 {
        (self.sigma / self.alpha.hypot(self.sigma)).clamp(0.0, 1.0)
    }
}

impl Process {
    /// Returns T of a discrete process.
    #[must_use]
    pub fn timesteps(&self) -> Option<usize> {
        match self {
            Self::Discrete(schedule) => Some(schedule.timesteps()),
            Self::Edm(_) | Self::Flow => None,
        }
    }

    /// Returns the point of a timestep, which may lie between trained ones.
    ///
    /// ln σ/α is linear between neighbours, as in k-diffusion. A flow's timesteps are
    /// 1000 times its time, as at its network's input.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if the process has no timesteps, t is not in 0 ..= T−1, or t lies
    /// between pure noise and the timestep before it; for a flow, if t is not above 0
    /// and at most 1000.
    pub fn at_timestep(&self, t: f64) -> Result<Point, Error> {
        let schedule = match self {
            Self::Discrete(schedule) => schedule,
            Self::Flow if t > 0.0 && t <= 1000.0 => return Ok(at_time(t / 1000.0)),
            Self::Flow => {
                let reason = format!("timestep {t} of a flow is not above 0 and at most 1000");
                return Err(Error::points(reason));
            }
            Self::Edm(_) => {
                return Err(Error::points("this network knows no timesteps, only sigmas"));
            }
        };
        let last = schedule.timesteps() - 1;
        if !(0.0..=last as f64).contains(&t) {
            return Err(Error::points(format!("timestep {t} is not in 0..={last}")));
        }
        let below = t.floor() as usize;
        if t == t.floor() {
            return Ok(trained(schedule, below));
        }
        let (low, high) = (ln_rho(schedule, below), ln_rho(schedule, below + 1));
        if high.is_infinite() {
            return Err(Error::points(format!(
                "timestep {t} lies next to pure noise (alphas_cumprod = 0 at {last}), where there \
                 is nothing to interpolate to: use {below} or {last}"
            )));
        }
        Ok(preserving(t, (low + (high - low) * t.fract()).exp()))
    }

    /// Returns the point where σ/α is `rho`. A discrete network gets the timestep
    /// with that noise, or the nearest one in its range.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] unless `rho` is finite and above 0.
    pub fn at_rho(&self, rho: f64) -> Result<Point, Error> {
        if !(rho > 0.0 && rho.is_finite()) {
            return Err(Error::points(format!("a sigma must be finite and above 0, got {rho}")));
        }
        Ok(match self {
            Self::Discrete(schedule) => preserving(timestep_of(schedule, rho), rho),
            Self::Edm(_) => Point { t: rho.ln() / 4.0, alpha: 1.0, sigma: rho, timestep: None },
            Self::Flow => at_time(rho / (1.0 + rho)),
        })
    }

    /// Returns the least and the largest σ/α in the network's range. If the process
    /// ends in pure noise, the largest is that of the last timestep before it.
    #[must_use]
    pub fn rho_range(&self) -> (f64, f64) {
        match self {
            Self::Discrete(schedule) => {
                let last = schedule.timesteps() - 1;
                let last = if schedule.ends_in_pure_noise() { last - 1 } else { last };
                (trained(schedule, 0).rho(), trained(schedule, last).rho())
            }
            Self::Edm(edm) => (edm.sigma_min, edm.sigma_max),
            // A flow's own grids start at pure noise; grids in sigma need a finite start.
            Self::Flow => (1e-3, 1e3),
        }
    }
}

/// Returns the exact point of a trained timestep.
pub(crate) fn trained(schedule: &Schedule, t: usize) -> Point {
    let alpha_bar = schedule.alphas_cumprod()[t];
    Point {
        t: t as f64,
        alpha: alpha_bar.sqrt(),
        sigma: (1.0 - alpha_bar).sqrt(),
        timestep: Some(t),
    }
}

/// Returns the point of a flow's time, in [0, 1].
pub(crate) fn at_time(time: f64) -> Point {
    Point { t: 1000.0 * time, alpha: 1.0 - time, sigma: time, timestep: None }
}

/// Returns the point with α² + σ² = 1 and σ/α = rho.
fn preserving(t: f64, rho: f64) -> Point {
    let alpha = 1.0 / 1f64.hypot(rho);
    Point { t, alpha, sigma: rho * alpha, timestep: None }
}

fn ln_rho(schedule: &Schedule, t: usize) -> f64 {
    trained(schedule, t).rho().ln()
}

/// Returns the real-valued timestep with this σ/α, clamped to 0 ..= T−1.
fn timestep_of(schedule: &Schedule, rho: f64) -> f64 {
    let alpha_bars = schedule.alphas_cumprod();
    let wanted = rho.ln();
    // σ/α grows with t.
    let above = alpha_bars
        .partition_point(|alpha_bar| ((1.0 - alpha_bar).sqrt() / alpha_bar.sqrt()).ln() <= wanted);
    if above == 0 {
        return 0.0;
    }
    if above == alpha_bars.len() {
        return (above - 1) as f64;
    }
    let (low, high) = (ln_rho(schedule, above - 1), ln_rho(schedule, above));
    // Next to pure noise there is nothing to interpolate to.
    let fraction = if high.is_finite() { (wanted - low) / (high - low) } else { 0.0 };
    (above - 1) as f64 + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BetaSchedule;

    fn linear() -> Process {
        Process::Discrete(Schedule::linear(1000, 1e-4, 0.02).unwrap())
    }

    #[test]
    fn a_sigma_of_a_trained_timestep_leads_back_to_it() {
        for t in [0.0, 1.0, 17.0, 500.0, 999.0] {
            let point = linear().at_timestep(t).unwrap();
            let back = linear().at_rho(point.rho()).unwrap();
            assert!((back.t - t).abs() < 1e-9, "{t} became {}", back.t);
            assert!((back.alpha - point.alpha).abs() < 1e-14);
            assert!((back.sigma - point.sigma).abs() < 1e-14);
        }
    }

    #[test]
    fn between_timesteps_the_log_of_sigma_is_linear() {
        let at = |t| linear().at_timestep(t).unwrap().rho().ln();
        assert!((at(10.25) - (0.75 * at(10.0) + 0.25 * at(11.0))).abs() < 1e-12);
    }

    #[test]
    fn sigmas_beyond_the_trained_ones_get_the_nearest_timestep() {
        assert_eq!(linear().at_rho(1e-5).unwrap().t, 0.0);
        assert_eq!(linear().at_rho(1e5).unwrap().t, 999.0);
    }

    #[test]
    fn a_timestep_outside_the_process_is_refused() {
        assert!(linear().at_timestep(999.5).is_err());
        assert!(linear().at_timestep(-1.0).is_err());
        assert!(linear().at_timestep(f64::NAN).is_err());
        let jsd = Process::Discrete(Schedule::new(BetaSchedule::Jsd, 100, 1.0, 1.0).unwrap());
        assert!(jsd.at_timestep(99.0).unwrap().is_pure_noise());
        assert!(jsd.at_timestep(97.5).is_ok());
        let error = jsd.at_timestep(98.5).unwrap_err().to_string();
        assert!(error.contains("use 98 or 99"), "{error}");
        assert!(Process::Edm(Edm::PAPER).at_timestep(3.0).is_err());
    }

    #[test]
    fn a_flow_is_a_straight_line() {
        let point = Process::Flow.at_rho(3.0).unwrap();
        assert_eq!((point.t, point.alpha, point.sigma), (750.0, 0.25, 0.75));
        assert_eq!(Process::Flow.at_timestep(750.0).unwrap(), point);
        assert_eq!(Process::Flow.at_timestep(1000.0).unwrap().alpha, 0.0);
        for t in [0.0, -1.0, 1001.0, f64::NAN] {
            assert!(Process::Flow.at_timestep(t).is_err());
        }
    }

    #[test]
    fn edm_numbers_out_of_order_are_refused() {
        assert!(Edm::PAPER.check().is_ok());
        assert!(Edm { sigma_min: 90.0, ..Edm::PAPER }.check().is_err());
        assert!(Edm { sigma_data: 0.0, ..Edm::PAPER }.check().is_err());
    }
}
