//! How to load a data set: which split, at which size, with which labels.

use crate::Background;

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

/// Where the labels of a folder, an archive or a table of pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FolderLabels {
    /// Sub-folders are classes if there are two or more and every picture lies directly in one;
    /// tables use their label column. No labels otherwise.
    #[default]
    Auto,
    /// No labels, whatever the names of folders or columns.
    None,
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
    /// Where the labels of folders, archives and tables come from.
    pub folder_labels: FolderLabels,
    /// Whether pictures may be mirrored; `None` means no for digits and glyphs, yes for others.
    pub flips: Option<bool>,
    /// Seed of the procedural sets.
    pub seed: u64,
    /// Part of the data to load.
    pub split: Split,
}
