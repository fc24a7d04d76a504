//! Classifier-free guidance.

use crate::{Error, Evals, OptionField, Point};

/// F = scale · F(label) + (1 − scale) · F(no label), in an interval of noise.
///
/// # Source
///
/// Ho & Salimans 2022, equation 6 with 1 + w = scale,
/// <https://arxiv.org/abs/2207.12598>; the interval: Kynkäänniemi et al. 2024,
/// <https://arxiv.org/abs/2404.07724>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// 1 is the conditional network alone, 0 the unconditional one; in [0, 1000].
    pub scale: f64,
    /// Least sigma (σ/α) at which it acts; elsewhere the conditional network runs
    /// alone, at half the cost.
    pub sigma_min: f64,
    /// Largest sigma at which it acts.
    pub sigma_max: f64,
}

impl Guidance {
    /// Creates guidance of this scale at any noise.
    #[must_use]
    pub fn everywhere(scale: f64) -> Self {
        Self { scale, sigma_min: 0.0, sigma_max: f64::INFINITY }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] names the one that is out of range.
    pub fn check(self) -> Result<Self, Error> {
        let Self { scale, sigma_min, sigma_max } = self;
        if !(0.0..=1000.0).contains(&scale) {
            let reason = format!("must be in [0, 1000], got {scale}");
            return Err(Error::Option { option: OptionField::GuidanceScale, reason });
        }
        if !(sigma_min >= 0.0 && sigma_min <= sigma_max) {
            let reason = format!("must be in [0, sigma_max = {sigma_max}], got {sigma_min}");
            return Err(Error::Option { option: OptionField::GuidanceSigmaMin, reason });
        }
        Ok(self)
    }

    /// Returns the evaluations at a point.
    pub(crate) fn evals(self, point: &Point) -> Evals {
        let acts = (self.sigma_min..=self.sigma_max).contains(&point.rho());
        match self.scale {
            _ if !acts => Evals::One,
            1.0 => Evals::One,
            0.0 => Evals::Unconditional,
            scale => Evals::Guided { scale },
        }
    }
}
