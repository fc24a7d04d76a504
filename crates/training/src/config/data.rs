//! The data of a run, and how it is loaded.

use ddpm_data::{Background, FolderLabels, LoadOptions, OnBroken, Source, Split};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The data of a run, and how it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// As [`Source`] parses it; folders are absolute, so that a run can be resumed from anywhere.
    pub source: String,
    /// The part of it to use; absent: train.
    #[serde(default)]
    pub split: Split,
    /// Side to which pictures are scaled and cropped; absent: their own size.
    #[serde(default)]
    pub image_size: Option<usize>,
    /// Whether colour is reduced to one channel.
    #[serde(default)]
    pub greyscale: bool,
    /// What lies behind transparent pictures; absent: black.
    #[serde(default, skip_serializing_if = "is_black")]
    pub background: Background,
    /// Whether to skip pictures that cannot be decoded.
    #[serde(default)]
    pub skip_broken: bool,
    /// Whether labels are used.
    pub labels: bool,
    /// Whether pictures are mirrored at random; absent: the data set's default.
    #[serde(default)]
    pub flip: Option<bool>,
    /// Number of items, on which their order depends: a run resumed with another number would
    /// differ. Absent: not checked.
    #[serde(default)]
    pub items: Option<usize>,
}

/// Leaves the setting out of files where it says nothing new, so that older programs read them.
fn is_black(background: &Background) -> bool {
    *background == Background::Black
}

impl DataConfig {
    /// Uses the whole training part of a source, unchanged, with its labels.
    #[must_use]
    pub fn from_source(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            split: Split::default(),
            image_size: None,
            greyscale: false,
            background: Background::default(),
            skip_broken: false,
            labels: true,
            flip: None,
            items: None,
        }
    }

    /// Parses the source.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if the text names no data set.
    pub fn source(&self) -> Result<Source, TrainError> {
        Ok(self.source.parse()?)
    }

    /// Returns how the data is loaded for a run with this seed.
    #[must_use]
    pub fn load_options(&self, seed: u64) -> LoadOptions {
        LoadOptions {
            image_size: self.image_size,
            greyscale: self.greyscale,
            background: self.background,
            on_broken: if self.skip_broken { OnBroken::Skip } else { OnBroken::Refuse },
            folder_labels: if self.labels { FolderLabels::Auto } else { FolderLabels::None },
            flips: self.flip,
            seed,
            split: self.split,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_background_means_black_and_black_is_not_written() {
        let config = DataConfig::from_source("folder:pictures");
        let text = serde_json::to_string(&config).unwrap();
        assert!(!text.contains("background"), "{text}");
        assert_eq!(serde_json::from_str::<DataConfig>(&text).unwrap(), config);
        let white = DataConfig { background: Background::White, ..config };
        let text = serde_json::to_string(&white).unwrap();
        assert!(text.contains(r#""background":"white""#), "{text}");
        let read: DataConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(read.load_options(0).background, Background::White);
    }
}
