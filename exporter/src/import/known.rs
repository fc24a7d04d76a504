//! What the user says of a model, beside what its source holds.

use std::path::PathBuf;

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

/// Settings that win over those of the source.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// ddpm-torch's JSON, for checkpoints.
    pub config: Option<PathBuf>,
    /// Height and width in pixels.
    pub image_size: Option<[i64; 2]>,
    /// Squares of so many pixels a side were channels to the network (ddpm-torch).
    pub block_size: Option<i64>,
    /// How β runs.
    pub beta_schedule: Option<BetaSchedule>,
    /// T.
    pub timesteps: Option<usize>,
    /// β at t = 0.
    pub beta_start: Option<f64>,
    /// β at t = T−1.
    pub beta_end: Option<f64>,
    /// What the network predicts.
    pub prediction: Option<Prediction>,
    /// Variance of the reverse steps.
    pub variance: Option<Variance>,
    /// Added to the variance in every norm.
    pub norm_eps: Option<f64>,
    /// Take the weights of the last step where the file has their moving average too (ddpm-torch).
    pub raw_weights: bool,
    /// The last class of the source means "no label", as classifier-free guidance trains it (diffusers).
    pub null_class: bool,
}
