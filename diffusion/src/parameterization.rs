//! What a network's output means.

use serde::{Deserialize, Serialize};

use crate::{Error, Schedule};

/// Which quantity the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise ε (Ho et al. 2020).
    Eps,
    /// The data x_0.
    #[serde(rename = "x_0")]
    X0,
    /// The mean of q(x_{t−1} given x_t, x_0); only on the whole grid.
    Mean,
    /// v = √ᾱ ε − √(1−ᾱ) x_0 (Salimans & Ho 2022).
    V,
}

impl Prediction {
    /// All of them, under the names that people type.
    pub const NAMES: [(&'static str, Self); 4] =
        [("eps", Self::Eps), ("x_0", Self::X0), ("mean", Self::Mean), ("v", Self::V)];

    /// The name that people type.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// (p_u, p_F): x_0 ≈ p_u x_t + p_F F for the network's output F at t.
    ///
    /// # Errors
    ///
    /// [`Error::Sampler`] where the output says nothing about x_0: eps at ᾱ = 0.
    ///
    /// # Panics
    ///
    /// If t is not below T.
    pub fn x_0_coefficients(self, schedule: &Schedule, t: usize) -> Result<(f64, f64), Error> {
        let alpha_bar = schedule.alphas_cumprod()[t];
        Ok(match self {
            Self::Eps if alpha_bar == 0.0 => {
                return Err(Error::Sampler(format!(
                    "alphas_cumprod is 0 at t = {t}, where eps says nothing about x_0: use v or x_0"
                )));
            }
            Self::Eps => ((1.0 / alpha_bar).sqrt(), -(1.0 / alpha_bar - 1.0).sqrt()),
            Self::X0 => (0.0, 1.0),
            Self::V => (alpha_bar.sqrt(), -(1.0 - alpha_bar).sqrt()),
            Self::Mean => {
                let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
                (-of_x_t / of_x_0, 1.0 / of_x_0)
            }
        })
    }
}

/// Variance of the reverse steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of the posterior, β̃_t.
    FixedSmall,
    /// That of the forward step, β_t.
    FixedLarge,
    /// What the network predicts: as many channels again hold the raw
    /// log-variance of each element.
    Learned,
}

impl Variance {
    /// All of them, under the names that people type.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("fixed-small", Self::FixedSmall),
        ("fixed-large", Self::FixedLarge),
        ("learned", Self::Learned),
    ];

    /// The name that people type.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// What the network's output channels hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameterization {
    /// The first half (or all) of the channels.
    pub prediction: Prediction,
    /// Whether a second half holds log-variances, and the default otherwise.
    pub variance: Variance,
}
