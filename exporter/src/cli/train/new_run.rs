//! Flags for a new run: its data, its folder and the settings it builds on.

use std::path::PathBuf;

use ddpm_data::{Background, OnBroken, Source, Split};

use crate::cli::labels::LabelFlags;
use crate::cli::layers::{DataKeys, Layer};
use crate::cli::settings::{PaceFlags, RunFlags};

/// A run that has not started.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct NewRun {
    /// Training data: swissroll, gaussian8, gaussian25 or glyphs (a count may follow, as in
    /// glyphs:5000), gaussian8-labels or gaussian25-labels (each mode is a class), mnist:DIR,
    /// cifar10:PATH, celeba:PATH, celebahq:PATH, lsun:PATH, parquet:PATH, or folder:PATH (any
    /// pictures, in a folder or a zip archive).
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    pub(super) data: Option<Source>,

    /// Folder of the run: checkpoints, log, sample grids and the package.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(super) out: Option<PathBuf>,

    /// Named settings to start from; see `ddpm-exporter presets`.
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    pub(super) preset: Option<String>,

    /// Settings file: TOML as written by `ddpm-exporter init`, or ddpm-torch's JSON.
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub(super) config: Option<PathBuf>,

    /// Name of the model [default: that of the data: its folder's or archive's, or its kind].
    #[arg(long, help_heading = "Data")]
    name: Option<String>,

    /// Side to crop and resize pictures to [default: unchanged; celeba: 64].
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    image_size: Option<usize>,

    /// Reduce colour to one channel.
    #[arg(long, help_heading = "Data")]
    greyscale: bool,

    /// Colour behind transparent pictures [default: black].
    #[arg(long, value_enum, value_name = "COLOUR", help_heading = "Data")]
    background: Option<Background>,

    /// Part of the data [default: train; celeba: all, as in the reference].
    #[arg(long, value_enum, help_heading = "Data")]
    split: Option<Split>,

    /// Mirror pictures at random [default: all but digits and glyphs].
    #[arg(long, overrides_with = "no_flip", help_heading = "Data")]
    flip: bool,

    /// Never mirror pictures.
    #[arg(long, help_heading = "Data")]
    no_flip: bool,

    /// What to do with pictures, and other entries of the data, that cannot be read
    /// [default: refuse].
    #[arg(long, value_enum, help_heading = "Data")]
    on_broken: Option<OnBroken>,
}

impl NewRun {
    /// Collects one source of settings, such as the flags or the environment, into a layer.
    pub(super) fn layer(
        &self,
        labels: &LabelFlags,
        settings: &RunFlags,
        pace: &PaceFlags,
    ) -> Layer {
        Layer {
            name: self.name.clone(),
            data: DataKeys {
                source: self.data.as_ref().map(ToString::to_string),
                split: self.split,
                image_size: self.image_size,
                greyscale: self.greyscale.then_some(true),
                background: self.background,
                skip_broken: self.on_broken.map(|on_broken| on_broken == OnBroken::Skip),
                labels: labels.source(),
                flip: match (self.flip, self.no_flip) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                },
            },
            settings: settings.clone(),
            pace: pace.clone(),
            ..Layer::default()
        }
    }
}
