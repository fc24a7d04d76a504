//! What a network learns: the forward process, what it predicts, and the loss.

use ddpm_diffusion::{
    BetaSchedule, Edm, Evaluation, Network, Point, Prediction, Process, Schedule, Variance,
};
use serde::{Deserialize, Serialize};

use super::loss::Objective;
use super::{Draws, TrainError};

/// The diffusion process, what the network predicts, and how it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiffusionConfig {
    /// Which forward process; the betas are of the discrete one, `edm` is of EDM's.
    #[serde(default)]
    pub process: ProcessKind,
    /// How β runs from t = 0 to T−1.
    pub beta_schedule: BetaSchedule,
    /// T.
    pub timesteps: usize,
    /// β at t = 0.
    pub beta_start: f64,
    /// β at t = T−1.
    pub beta_end: f64,
    /// The range of noise, and which of it is trained on.
    #[serde(default)]
    pub edm: EdmConfig,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// What is minimised; absent: `hybrid` with a learned variance, `mse` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// γ: the squared error of x_0 counts min(SNR, γ) times (Hang et al. 2023, section 3.4,
    /// <https://arxiv.org/abs/2303.09556>); absent: the squared error of the prediction counts once.
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

/// EDM's noise: what the network knows, and what it is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EdmConfig {
    /// Least σ of sampling; above 0.
    pub sigma_min: f64,
    /// Largest σ, where sampling starts.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// Mean of ln σ while training.
    pub p_mean: f64,
    /// Standard deviation of ln σ while training; above 0.
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

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The squared error of the prediction: L_simple (Ho et al. 2020, equation 14); for EDM and flows
    /// that is the weighted loss of their papers.
    Mse,
    /// The variational bound, in bits per dimension, of one term a sample.
    Kl,
    /// `mse` for the prediction plus T/1000 · `kl` for a learned variance alone (Nichol & Dhariwal
    /// 2021, equation 16, with λ = 0.001 for the sum over all T terms).
    Hybrid,
}

impl DiffusionConfig {
    /// The process with its tables.
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

    /// What inputs and outputs of the network mean.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if a number is out of range, or the prediction does not suit the
    /// process.
    pub fn network(&self) -> Result<Network, TrainError> {
        let Self { prediction, variance, .. } = *self;
        let network = Network { process: self.process()?, prediction, variance };
        network.check()?;
        Ok(network)
    }

    /// What is minimised.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let default = if self.variance.is_learned() { Loss::Hybrid } else { Loss::Mse };
        self.loss.unwrap_or(default)
    }

    /// What the loss is of.
    pub(super) fn objective(&self) -> Objective {
        let Self { variance, timesteps, .. } = *self;
        Objective { kind: self.loss(), variance, timesteps }
    }

    /// How often the squared error of a prediction counts, if not once.
    ///
    /// An error of F is one of p_F F in x_0, so min(SNR, γ) p_F² is the weight of the paper for
    /// every prediction: min(SNR, γ) / SNR for eps, min(SNR, γ) / (SNR + 1) for v.
    pub(super) fn weight(&self, point: &Point, evaluation: &Evaluation) -> Option<f64> {
        let snr = (point.alpha / point.sigma).powi(2);
        self.min_snr.map(|gamma| snr.min(gamma) * evaluation.p_f.powi(2))
    }

    /// Where on the process one item of a batch is trained.
    ///
    /// t is uniform over the timesteps, or over the line of a flow; ln σ of EDM is normal.
    ///
    /// # Errors
    ///
    /// Never for a process of this configuration.
    pub(super) fn point(
        &self,
        process: &Process,
        draws: &Draws,
        step: u32,
        position: usize,
    ) -> Result<Point, ddpm_diffusion::Error> {
        match process {
            Process::Discrete(schedule) => {
                let t = draws.timestep(step, position, schedule.timesteps());
                process.at_timestep(t as f64)
            }
            Process::Edm(_) => {
                let EdmConfig { p_mean, p_std, .. } = self.edm;
                process.at_rho((p_mean + p_std * draws.level(step, position)).exp())
            }
            Process::Flow => {
                // The middle of one of 2^20 places: both ends, where one part is missing, are out.
                let places = 1 << 20;
                let time = (draws.timestep(step, position, places) as f64 + 0.5) / places as f64;
                process.at_rho(time / (1.0 - time))
            }
        }
    }
}
