//! A file of settings: our own in TOML, or the reference's in JSON.
//!
//! ```toml
//! preset = "cifar10"          # what the file changes
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

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::reference;
use crate::cli::settings::{Diffusion, Network, Pace, Recipe, Training};
use crate::data::Split;

/// What one layer says of a run; everything may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "File")]
pub(in crate::cli) struct Layer {
    /// The preset that it changes.
    pub(in crate::cli) preset: Option<String>,
    /// What the model is called.
    pub(in crate::cli) name: Option<String>,
    /// Which data it is for, without where that lies: the reference's `dataset`.
    pub(in crate::cli) dataset: Option<String>,
    /// Channels of the pictures it is for: the reference's `model.in_channels`.
    pub(in crate::cli) in_channels: Option<i64>,
    /// Which data, and how it is loaded.
    pub(in crate::cli) data: DataKeys,
    /// What to train.
    pub(in crate::cli) recipe: Recipe,
    /// How long, and what is left on the way.
    pub(in crate::cli) pace: Pace,
}

/// Which data, and how it is loaded.
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
    /// Whether pictures that cannot be decoded are left out.
    pub(in crate::cli) skip_broken: Option<bool>,
    /// Whether labels are used.
    pub(in crate::cli) labels: Option<bool>,
    /// Whether pictures are mirrored at random.
    pub(in crate::cli) flip: Option<bool>,
}

/// A layer as files spell it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    preset: Option<String>,
    name: Option<String>,
    dataset: Option<String>,
    in_channels: Option<i64>,
    data: DataKeys,
    model: Network,
    diffusion: Diffusion,
    train: Training,
    run: Pace,
}

impl From<File> for Layer {
    fn from(file: File) -> Self {
        let File { preset, name, dataset, in_channels, data, .. } = file;
        let recipe =
            Recipe { network: file.model, diffusion: file.diffusion, training: file.train };
        Self { preset, name, dataset, in_channels, data, recipe, pace: file.run }
    }
}

impl Layer {
    /// Reads a file: TOML, or the reference's JSON if its name ends so.
    ///
    /// # Errors
    ///
    /// A sentence with the path: it cannot be read, or has a key or a value that nobody knows.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|cause| format!("{}: cannot be read: {cause}", path.display()))?;
        let json = path.extension().is_some_and(|end| end == "json");
        let read = if json { reference::read(&text) } else { Self::parse(&text) };
        read.map_err(|problem| format!("{}: {problem}", path.display()))
    }

    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// What is wrong, and on which line.
    pub(in crate::cli) fn parse(toml: &str) -> Result<Self, String> {
        toml::from_str(toml).map_err(|error| error.to_string().trim_end().to_owned())
    }
}
