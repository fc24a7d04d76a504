//! Flags and keys of the diffusion process and of the loss.

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use serde::Deserialize;

use super::set;
use crate::cli::names;
use crate::train::{DiffusionConfig, Loss, ProcessKind};

/// Which process, what the network predicts of it, and what is minimised.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Diffusion {
    /// Forward process [default: discrete].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    process: Option<ProcessKind>,

    /// T, the number of timesteps.
    #[arg(long, value_name = "T", help_heading = "Diffusion")]
    timesteps: Option<usize>,

    /// linear, quad, warmup10, warmup50, jsd, const or cosine.
    #[arg(long, value_name = "KIND", value_parser = names::beta_schedule, help_heading = "Diffusion")]
    beta_schedule: Option<BetaSchedule>,

    /// β at t = 0.
    #[arg(long, value_name = "BETA", help_heading = "Diffusion")]
    beta_start: Option<f64>,

    /// β at t = T−1.
    #[arg(long, value_name = "BETA", help_heading = "Diffusion")]
    beta_end: Option<f64>,

    /// Standard deviation of the data, for EDM [default: 0.5].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_data: Option<f64>,

    /// Least noise of sampling, for EDM [default: 0.002].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_min: Option<f64>,

    /// Largest noise of sampling, for EDM [default: 80].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_max: Option<f64>,

    /// Mean of the log of sigma in training, for EDM [default: -1.2].
    #[arg(long, value_name = "MEAN", help_heading = "Diffusion", allow_hyphen_values = true)]
    p_mean: Option<f64>,

    /// Standard deviation of the log of sigma in training, for EDM [default: 1.2].
    #[arg(long, value_name = "SPREAD", help_heading = "Diffusion")]
    p_std: Option<f64>,

    /// What the network predicts: eps, x_0, mean or v; edm or flow [default: eps, or the process's
    /// own].
    #[arg(long, value_name = "KIND", value_parser = names::prediction, help_heading = "Diffusion")]
    prediction: Option<Prediction>,

    /// Variance of the sampler's steps: fixed-small, fixed-large, learned or learned-range.
    #[arg(long, value_name = "KIND", value_parser = names::variance, help_heading = "Diffusion")]
    variance: Option<Variance>,

    /// What is minimised [default: hybrid with a learned variance, mse otherwise].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    loss: Option<Loss>,

    /// Count the squared error of x_0 at most GAMMA times, such as 5, where there is little noise
    /// (min-SNR); 0: do not [default: 0].
    #[arg(long, value_name = "GAMMA", help_heading = "Diffusion", allow_hyphen_values = true)]
    min_snr: Option<f64>,
}

impl Diffusion {
    /// Overrides what was given.
    pub(super) fn apply(&self, diffusion: &mut DiffusionConfig) {
        set(&mut diffusion.timesteps, self.timesteps);
        set(&mut diffusion.beta_schedule, self.beta_schedule);
        set(&mut diffusion.beta_start, self.beta_start);
        set(&mut diffusion.beta_end, self.beta_end);
        if let Some(process) = self.process {
            diffusion.prediction = match process {
                ProcessKind::Edm => Prediction::Edm,
                ProcessKind::Flow => Prediction::Flow,
                ProcessKind::Discrete if diffusion.process == process => diffusion.prediction,
                ProcessKind::Discrete => Prediction::Eps,
            };
            diffusion.process = process;
        }
        set(&mut diffusion.edm.sigma_data, self.sigma_data);
        set(&mut diffusion.edm.sigma_min, self.sigma_min);
        set(&mut diffusion.edm.sigma_max, self.sigma_max);
        set(&mut diffusion.edm.p_mean, self.p_mean);
        set(&mut diffusion.edm.p_std, self.p_std);
        set(&mut diffusion.prediction, self.prediction);
        set(&mut diffusion.variance, self.variance);
        set(&mut diffusion.loss, self.loss.map(Some));
        set(&mut diffusion.min_snr, self.min_snr.map(|gamma| (gamma != 0.0).then_some(gamma)));
    }
}
