//! Settings from the user.

use std::path::PathBuf;

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

/// Weights of one training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsChoice {
    /// Those of the last step.
    Raw,
    /// Their exponential moving average.
    Ema,
}

/// Settings that the source lacks, or that override those in the source.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// ddpm-torch's JSON, for checkpoints.
    pub config: Option<PathBuf>,
    /// Height and width in pixels.
    pub image_size: Option<[i64; 2]>,
    /// Side of the squares of pixels that are channels to the network (ddpm-torch).
    pub block_size: Option<i64>,
    /// The schedule of β.
    pub beta_schedule: Option<BetaSchedule>,
    /// T, the number of timesteps.
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
    /// Which weights to take where the source has both [default: the moving average].
    pub weights: Option<WeightsChoice>,
    /// The variant of a diffusers folder's files, such as `fp16`.
    pub variant: Option<String>,
    /// The last class of the source means "no label", trained for classifier-free guidance
    /// (diffusers).
    pub null_class: bool,
}
