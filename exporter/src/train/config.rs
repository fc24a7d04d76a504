//! What a run is: data, network, diffusion process, optimisation. Written into every checkpoint, so
//! that a run can be resumed, sampled and exported from its folder alone.

use ddpm_diffusion::Program;
use ddpm_package::{DefaultSampler, Kind};
use serde::{Deserialize, Serialize};

use super::{DiffusionConfig, EvalConfig, TrainError};
use crate::data::{FolderLabels, LoadOptions, OnBroken, Source, Split};
use crate::model::ModelConfig;
use crate::sample::{compile, default_sampler};

/// All settings of a run; [`TrainConfig::defaults`] fits them to a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What the model is called.
    pub name: String,
    /// Which data.
    pub data: DataConfig,
    /// Names of the classes, in the order of their labels; empty: unconditional.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Which network.
    pub model: ModelConfig,
    /// Which diffusion process, and what the network predicts.
    pub diffusion: DiffusionConfig,
    /// Items a step, at least 1.
    pub batch_size: usize,
    /// In how many parts they go through the network, for want of memory; the step is the same.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Steps in total.
    pub steps: u32,
    /// Adam and what goes with it.
    pub optimizer: OptimizerConfig,
    /// Largest decay of the moving average of the weights, in [0, 1).
    pub ema_decay: f64,
    /// How often a label is replaced by "none", in [0, 1); 0 for unconditional models.
    pub label_dropout: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// How often things happen.
    pub intervals: Intervals,
    /// What is shown of it.
    #[serde(default)]
    pub watch: WatchConfig,
    /// Where the pictures lie meanwhile; it changes no bit.
    #[serde(default)]
    pub data_on: DataOn,
    /// How good its samples are on the way.
    #[serde(default)]
    pub eval: EvalConfig,
}

fn one() -> usize {
    1
}

/// Which data, and how it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// As [`Source`] reads it; folders are absolute, so that a run can be resumed from anywhere.
    pub source: String,
    /// Which part of it; absent: train.
    #[serde(default)]
    pub split: Split,
    /// Side that pictures are brought to; absent: as they are.
    #[serde(default)]
    pub image_size: Option<usize>,
    /// Whether colour is reduced to one channel.
    #[serde(default)]
    pub greyscale: bool,
    /// Whether pictures that cannot be decoded are left out.
    #[serde(default)]
    pub skip_broken: bool,
    /// Whether labels are used.
    pub labels: bool,
    /// Whether pictures are mirrored at random; absent: as suits the data set.
    #[serde(default)]
    pub flip: Option<bool>,
    /// How many items there are: with another number their order would change, and a run that is
    /// resumed would not be the same; absent: not checked.
    #[serde(default)]
    pub items: Option<usize>,
}

/// Adam, its warm-up, and the limit of the gradients.
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

/// Where pictures lie while a network is trained on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DataOn {
    /// On a GPU if they take at most 1 GiB as bytes, on the host otherwise.
    #[default]
    Auto,
    /// In the host's memory: every batch is made there and copied.
    Host,
    /// Where the network is: batches are made there.
    Device,
}

/// How often things happen, in steps; 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// Checkpoints; there is always one at the end.
    pub checkpoint_every: u32,
    /// Grids of samples.
    pub sample_every: u32,
    /// Checkpoints kept, newest first; at least 1.
    pub keep: usize,
}

/// What is shown of a run while it trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchConfig {
    /// Steps between lines of the log; at least 1.
    pub log_every: u32,
    /// Items that are kept out of training, to judge it by; 0: none.
    pub held_out: usize,
    /// Steps between losses on the items held out; 0: only at the end.
    pub held_out_every: u32,
    /// Samples in a picture; 0: as suits the kind.
    pub samples: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { log_every: 50, held_out: 0, held_out_every: 1000, samples: 0 }
    }
}

impl DataConfig {
    /// All of the training part of a source as it comes, with its labels.
    #[must_use]
    pub fn of(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            split: Split::default(),
            image_size: None,
            greyscale: false,
            skip_broken: false,
            labels: true,
            flip: None,
            items: None,
        }
    }

    /// The data set that is meant.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if the text names none.
    pub fn source(&self) -> Result<Source, TrainError> {
        Ok(self.source.parse()?)
    }

    /// How the data is loaded for a run of this seed.
    #[must_use]
    pub fn load_options(&self, seed: u64) -> LoadOptions {
        LoadOptions {
            image_size: self.image_size,
            greyscale: self.greyscale,
            on_broken: if self.skip_broken { OnBroken::Skip } else { OnBroken::Refuse },
            folder_labels: if self.labels { FolderLabels::Auto } else { FolderLabels::None },
            flips: self.flip,
            seed,
            split: self.split,
        }
    }
}

impl TrainConfig {
    /// What a sample is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.model.kind()
    }

    /// The sampler that suits the model.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the process is out of range.
    pub fn default_sampler(&self) -> Result<DefaultSampler, TrainError> {
        Ok(default_sampler(self.kind(), &self.diffusion.network()?))
    }

    /// The [default sampler](Self::default_sampler), compiled.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the schedule is out of range.
    pub fn default_program(&self) -> Result<Program, TrainError> {
        self.program(&self.default_sampler()?)
    }

    /// A sampler, compiled for the model.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if it does not suit the model.
    pub fn program(&self, sampler: &DefaultSampler) -> Result<Program, TrainError> {
        Ok(compile(&self.diffusion.network()?, self.kind(), sampler)?)
    }

    /// Labels 0, 1, … K−1, 0, … for `count` samples of a conditional model.
    #[must_use]
    pub fn labels_in_turn(&self, count: usize) -> Option<Vec<i64>> {
        let num_classes = self.classes.len();
        (num_classes > 0).then(|| (0..count).map(|i| (i % num_classes) as i64).collect())
    }
}
