//! Flags and keys of the diffusion process and the loss.

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_training::{DiffusionConfig, Loss, ProcessKind};
use serde::Deserialize;

use super::set::set;
use crate::cli::names;

/// The forward process, what the network predicts, and the loss.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct DiffusionFlags {
    /// Forward process [default: discrete].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    process: Option<ProcessKind>,

    /// Number of timesteps T.
    #[arg(long, value_name = "T", help_heading = "Diffusion")]
    timesteps: Option<usize>,

    /// linear, quad, warmup10, warmup50, jsd, const or cosine.
    #[arg(long, value_name = "KIND", value_parser = names::beta_schedule)]
    #[arg(help_heading = "Diffusion")]
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

    /// Smallest noise when sampling, for EDM [default: 0.002].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_min: Option<f64>,

    /// Largest noise when sampling, for EDM [default: 80].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_max: Option<f64>,

    /// Mean of log sigma in training, for EDM [default: -1.2].
    #[arg(long, value_name = "MEAN", help_heading = "Diffusion", allow_hyphen_values = true)]
    p_mean: Option<f64>,

    /// Standard deviation of log sigma in training, for EDM [default: 1.2].
    #[arg(long, value_name = "SPREAD", help_heading = "Diffusion")]
    p_std: Option<f64>,

    /// What the network predicts: eps, x_0, mean or v; edm or flow [default: eps, or that of the
    /// process].
    #[arg(long, value_name = "KIND", value_parser = names::prediction, help_heading = "Diffusion")]
    prediction: Option<Prediction>,

    /// Variance of the sampler's steps: fixed-small, fixed-large, learned or learned-range.
    #[arg(long, value_name = "KIND", value_parser = names::variance, help_heading = "Diffusion")]
    variance: Option<Variance>,

    /// Loss to minimise [default: hybrid with a learned variance, mse otherwise].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    loss: Option<Loss>,

    /// Weight the squared error of x_0 by min(SNR, GAMMA), with GAMMA such as 5 (min-SNR); 0: off
    /// [default: 0].
    #[arg(long, value_name = "GAMMA", help_heading = "Diffusion", allow_hyphen_values = true)]
    min_snr: Option<f64>,
}

impl DiffusionFlags {
    /// Overrides the settings that are set here.
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
