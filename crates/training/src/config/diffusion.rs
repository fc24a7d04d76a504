//! What a network learns: the forward process, what it predicts, and the loss.

use ddpm_diffusion::{
    BetaSchedule, Edm, Parameterisation, Prediction, Process, Schedule, Variance,
};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The diffusion process, what the network predicts, and the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiffusionConfig {
    /// The forward process. The betas belong to the discrete one, `edm` to EDM's.
    #[serde(default)]
    pub process: ProcessKind,
    /// The course of β from t = 0 to T−1.
    pub beta_schedule: BetaSchedule,
    /// T.
    pub timesteps: usize,
    /// β at t = 0.
    pub beta_start: f64,
    /// β at t = T−1.
    pub beta_end: f64,
    /// EDM's range of noise levels, and their distribution in training.
    #[serde(default)]
    pub edm: EdmConfig,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// The loss; absent: `hybrid` with a learned variance, `mse` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// γ: the squared error of x_0 has the weight min(SNR, γ) (Hang et al. 2023, section 3.4,
    /// <https://arxiv.org/abs/2303.09556>); absent: the squared error of the prediction has the
    /// weight 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_snr: Option<f64>,
}

/// A forward process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// T steps of a schedule of betas (Ho et al. 2020).
    #[default]
    Discrete,
    /// Continuous noise with EDM's preconditioning (Karras et al. 2022).
    Edm,
    /// The straight line from data to noise (Lipman et al. 2022; Liu et al. 2022).
    Flow,
}

/// EDM's noise levels: their range, and their distribution in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EdmConfig {
    /// Smallest σ of sampling; above 0.
    pub sigma_min: f64,
    /// Largest σ, where sampling starts.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// Mean of ln σ in training.
    pub p_mean: f64,
    /// Standard deviation of ln σ in training; above 0.
    pub p_std: f64,
}

impl EdmConfig {
    /// Karras et al. 2022, table 1.
    pub const PAPER: Self = Self {
        sigma_min: Edm::PAPER.sigma_min,
        sigma_max: Edm::PAPER.sigma_max,
        sigma_data: Edm::PAPER.sigma_data,
        p_mean: -1.2,
        p_std: 1.2,
    };
}

impl Default for EdmConfig {
    /// Karras et al. 2022, table 1.
    fn default() -> Self {
        Self::PAPER
    }
}

/// The quantity that training minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The squared error of the prediction: L_simple (Ho et al. 2020, equation 14); for EDM and
    /// flows this is the weighted loss of their papers.
    Mse,
    /// The variational bound, in bits per dimension, estimated by one term per sample.
    Kl,
    /// `mse` for the prediction plus T/1000 · `kl` for a learned variance alone (Nichol & Dhariwal
    /// 2021, equation 16, with λ = 0.001 for the sum over all T terms).
    Hybrid,
}

impl DiffusionConfig {
    /// Builds the process with its tables.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if a number is out of range.
    pub fn process(&self) -> Result<Process, TrainError> {
        let Self { beta_schedule, timesteps, beta_start, beta_end, edm, .. } = *self;
        let EdmConfig { sigma_min, sigma_max, sigma_data, .. } = edm;
        Ok(match self.process {
            ProcessKind::Discrete => {
                Process::Discrete(Schedule::new(beta_schedule, timesteps, beta_start, beta_end)?)
            }
            ProcessKind::Edm => Process::Edm(Edm { sigma_min, sigma_max, sigma_data }.check()?),
            ProcessKind::Flow => Process::Flow,
        })
    }

    /// Returns what the network's inputs and outputs mean.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if a number is out of range, or the prediction does not suit the
    /// process.
    pub fn parameterisation(&self) -> Result<Parameterisation, TrainError> {
        let Self { prediction, variance, .. } = *self;
        let parameterisation = Parameterisation { process: self.process()?, prediction, variance };
        parameterisation.check()?;
        Ok(parameterisation)
    }

    /// Returns the loss, with its default filled in.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let default = if self.variance.is_learned() { Loss::Hybrid } else { Loss::Mse };
        self.loss.unwrap_or(default)
    }
}

impl Loss {
    /// Says why this loss does not suit a parameterisation; `None` if it does.
    pub(super) fn objection(self, network: &Parameterisation) -> Option<&'static str> {
        let learned = network.variance.is_learned();
        let discrete = network.process.timesteps().is_some();
        match self {
            _ if learned && !discrete => {
                Some("a learned variance needs a process with timesteps: use discrete")
            }
            Self::Mse if learned => {
                Some("mse teaches a learned variance nothing: use hybrid or kl")
            }
            Self::Kl | Self::Hybrid if !discrete => {
                Some("the variational bound needs a process with timesteps: use mse")
            }
            Self::Hybrid if !learned => Some("hybrid is for a learned variance: use mse or kl"),
            Self::Hybrid if network.prediction == Prediction::Mean => {
                Some("hybrid needs a prediction of eps, x_0 or v: use kl for the mean")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_do_not_suit_a_network_are_refused() {
        let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
        let network =
            |variance| Parameterisation::discrete(schedule.clone(), Prediction::Eps, variance);
        let refuses = |loss: Loss, network: &Parameterisation| loss.objection(network).is_some();
        assert!(!refuses(Loss::Mse, &network(Variance::FixedSmall)));
        assert!(!refuses(Loss::Kl, &network(Variance::FixedLarge)));
        assert!(refuses(Loss::Mse, &network(Variance::Learned)));
        assert!(!refuses(Loss::Hybrid, &network(Variance::LearnedRange)));
        assert!(refuses(Loss::Hybrid, &network(Variance::FixedSmall)));
        assert!(refuses(Loss::Kl, &Parameterisation::edm(Edm::PAPER)));
        assert!(!refuses(Loss::Mse, &Parameterisation::flow()));
    }
}
