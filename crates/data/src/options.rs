//! How to load a data set: which split, at which size, with which labels.

use crate::{Background, LabelSource};

/// Part of a data set; [`Source::splits`](crate::Source::splits) lists those a source has.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Models are trained on it.
    #[default]
    Train,
    /// Held out to choose between models; for procedural sets, other draws of the same
    /// distribution.
    Valid,
    /// Held out; for procedural sets, other draws of the same distribution.
    Test,
    /// All parts together.
    All,
}

impl Split {
    /// Returns its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

/// What to do with a picture that cannot be used, and with any other entry of the data that cannot
/// be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OnBroken {
    /// Stop at the first one and name it.
    #[default]
    Refuse,
    /// Leave them out and list them.
    Skip,
}

/// How to load a [`Source`](crate::Source). The default is the train split as it is on disk.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Side in pixels of the square that pictures are cropped and resized to; `None` keeps their
    /// size.
    pub image_size: Option<usize>,
    /// Reduces colour to one channel.
    pub greyscale: bool,
    /// What lies behind transparent pictures.
    pub background: Background,
    /// What to do with a picture that cannot be decoded. Formats without a file or row per picture
    /// (IDX, CIFAR-10) always refuse a damaged file.
    pub on_broken: OnBroken,
    /// Where labels come from.
    pub labels: LabelSource,
    /// Whether pictures may be mirrored; `None` means no for digits and glyphs, yes for others.
    pub flips: Option<bool>,
    /// Seed of the procedural sets.
    pub seed: u64,
    /// Part of the data to load.
    pub split: Split,
}
