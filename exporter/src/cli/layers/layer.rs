//! One layer of settings, and its spelling in TOML:
//!
//! ```toml
//! preset = "cifar10"          # the file overrides this preset
//! name = "mine"
//! [data]
//! source = "folder:pictures"
//! [model]
//! hid_channels = 64
//! [diffusion]
//! prediction = "v"
//! [train]
//! lr = 1e-4
//! [run]
//! steps = 100000
//! ```

use ddpm_data::{Background, LabelSource, Split};
use serde::Deserialize;

use crate::cli::settings::{DiffusionFlags, NetworkFlags, PaceFlags, RunFlags, TrainingFlags};

/// The settings of a run that one source sets; each may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "File")]
pub(in crate::cli) struct Layer {
    /// The preset that this layer overrides.
    pub(in crate::cli) preset: Option<String>,
    /// Name of the model.
    pub(in crate::cli) name: Option<String>,
    /// Data set that the settings are for, without its path: the reference's `dataset`.
    pub(in crate::cli) dataset: Option<String>,
    /// Channels of the pictures they are for: the reference's `model.in_channels`.
    pub(in crate::cli) in_channels: Option<i64>,
    /// The data, and how to load it.
    pub(in crate::cli) data: DataKeys,
    /// What to train; fixed once the run has started.
    pub(in crate::cli) settings: RunFlags,
    /// How long to train, and what to write along the way.
    pub(in crate::cli) pace: PaceFlags,
}

/// The data, and how to load it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct DataKeys {
    /// As `--data`.
    pub(in crate::cli) source: Option<String>,
    /// As `--split`.
    pub(in crate::cli) split: Option<Split>,
    /// As `--image-size`.
    pub(in crate::cli) image_size: Option<usize>,
    /// As `--greyscale`.
    pub(in crate::cli) greyscale: Option<bool>,
    /// As `--background`.
    pub(in crate::cli) background: Option<Background>,
    /// Whether to leave out pictures that cannot be decoded.
    pub(in crate::cli) skip_broken: Option<bool>,
    /// As `--labels`; `false` is `none`.
    pub(in crate::cli) labels: Option<LabelSource>,
    /// Whether to mirror pictures at random.
    pub(in crate::cli) flip: Option<bool>,
}

/// A layer as spelt in files.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    preset: Option<String>,
    name: Option<String>,
    dataset: Option<String>,
    in_channels: Option<i64>,
    data: DataKeys,
    model: NetworkFlags,
    diffusion: DiffusionFlags,
    train: TrainingFlags,
    run: PaceFlags,
}

impl From<File> for Layer {
    fn from(file: File) -> Self {
        let File { preset, name, dataset, in_channels, data, .. } = file;
        let settings =
            RunFlags { network: file.model, diffusion: file.diffusion, training: file.train };
        Self { preset, name, dataset, in_channels, data, settings, pace: file.run }
    }
}

impl Layer {
    /// Parses TOML.
    ///
    /// # Errors
    ///
    /// Describes the problem and its line.
    pub(in crate::cli) fn parse(toml: &str) -> Result<Self, String> {
        toml::from_str(toml).map_err(|error| error.to_string().trim_end().to_owned())
    }
}
