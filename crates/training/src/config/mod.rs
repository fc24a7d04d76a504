//! The settings of a run: data, network, diffusion process, optimisation. They are part of every
//! checkpoint, so a run can be resumed, sampled and exported from its folder alone.

mod data;
pub use data::DataConfig;

mod diffusion;
pub use diffusion::{DiffusionConfig, EdmConfig, Loss, ProcessKind};

mod eval;
pub use eval::EvalConfig;

mod defaults;

mod sampling;

mod validate;
pub(crate) use validate::sample_shape;

mod same;

use ddpm_data::{DataError, Dataset, LabelSource, LoadOptions, Source};
use ddpm_network::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// All settings of a run; [`TrainConfig::defaults`] fits them to a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Name of the model.
    pub name: String,
    /// The data.
    pub data: DataConfig,
    /// Names of the classes, in the order of their labels; empty: unconditional.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The network.
    pub model: ModelConfig,
    /// The diffusion process, and what the network predicts.
    pub diffusion: DiffusionConfig,
    /// Items per step, at least 1.
    pub batch_size: usize,
    /// Number of parts in which a batch goes through the network, to save memory; the step is the
    /// same.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Steps in total.
    pub steps: u32,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Largest decay of the moving average of the weights, in [0, 1).
    pub ema_decay: f64,
    /// Probability of replacing a label by "none", in [0, 1); 0 for unconditional models.
    pub label_dropout: f64,
    /// Seed of all random choices.
    pub seed: u64,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// Intervals of checkpoints and pictures.
    pub intervals: Intervals,
    /// What is logged and shown.
    #[serde(default)]
    pub watch: WatchConfig,
    /// Where the pictures are kept during training; this changes no bit of the result.
    #[serde(default)]
    pub data_on: DataOn,
    /// When and how samples are judged during training.
    #[serde(default)]
    pub eval: EvalConfig,
    /// What becomes of the finished model.
    #[serde(default)]
    pub export: ExportConfig,
}

impl TrainConfig {
    /// Returns how the data of this run is loaded. A run without classes ignores labels, even if
    /// this version finds some where an earlier one found none.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        let options = self.data.load_options(self.seed);
        match self.classes.is_empty() {
            true => LoadOptions { labels: LabelSource::None, ..options },
            false => options,
        }
    }

    /// Loads the data of this run, with its classes in the order of the run: what an earlier
    /// version sorted as text, this one may sort as numbers.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if it cannot be read.
    pub fn load_data(&self) -> Result<Dataset, TrainError> {
        let (source, options) = (self.data.source()?, self.load_options());
        let mut dataset = match ddpm_data::load(&source, &options) {
            // Earlier versions preferred this column to all others.
            Err(DataError::Unclear { .. })
                if self.data.labels_from.is_none() && matches!(source, Source::Parquet(_)) =>
            {
                let labels = LabelSource::Column("label".to_owned());
                ddpm_data::load(&source, &LoadOptions { labels, ..options })?
            }
            loaded => loaded?,
        };
        dataset.reorder_classes(&self.classes);
        Ok(dataset)
    }
}

fn one() -> usize {
    1
}

/// Adam, its warm-up, and the limit on the gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Learning rate after the warm-up, above 0.
    pub lr: f64,
    /// Decay of the mean of gradients, in [0, 1).
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in [0, 1).
    pub beta2: f64,
    /// Steps over which the learning rate grows from lr/warmup to lr; 0: none.
    pub warmup: u32,
    /// Largest joint L2 norm of the gradients; 0: no limit.
    pub grad_norm: f64,
}

/// Arithmetic of the network; weights, optimiser and loss are always fp32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// fp32 throughout.
    Fp32,
    /// Convolutions, matrix products and attention in bf16.
    Bf16,
}

/// Where pictures are kept while a network is trained on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DataOn {
    /// On the GPU if they take at most 1 GiB as bytes, on the host otherwise.
    #[default]
    Auto,
    /// In the host's memory: batches are made there and copied.
    Host,
    /// In the memory of the network's device: batches are made there.
    Device,
}

/// What becomes of the finished model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportConfig {
    /// Whether its package is written.
    pub package: bool,
    /// Whether the package has the files that make it a diffusers pipeline too.
    pub weights: bool,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { package: true, weights: true }
    }
}

/// Intervals in steps; 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// Between checkpoints; there is always one at the end.
    pub checkpoint_every: u32,
    /// Between pictures of samples.
    pub sample_every: u32,
    /// Checkpoints to keep, newest first; at least 1.
    pub keep: usize,
}

/// What is logged and shown during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchConfig {
    /// Steps between lines of the log; at least 1.
    pub log_every: u32,
    /// Items held out of training, to measure the loss on; 0: none.
    pub held_out: usize,
    /// Steps between losses on the held-out items; 0: only at the end.
    pub held_out_every: u32,
    /// Samples per picture; 0: the default for the kind of model.
    pub samples: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { log_every: 50, held_out: 0, held_out_every: 1000, samples: 0 }
    }
}
