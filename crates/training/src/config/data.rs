//! The data of a run, and how it is loaded.

use ddpm_data::{Background, LabelSource, LoadOptions, OnBroken, Source, Split};
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
    /// Where labels come from, if they are used. Absent in runs begun by versions that knew only
    /// one place: the folder in which a picture lies, or the label column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_from: Option<LabelSource>,
    /// Whether pictures are mirrored at random; absent: the data set's default.
    #[serde(default)]
    pub flip: Option<bool>,
    /// Number of items, on which their order depends: a run resumed with another number would
    /// differ. Absent: not checked.
    #[serde(default)]
    pub items: Option<usize>,
    /// [`Dataset::digest`](ddpm_data::Dataset::digest) when the run began. Absent: not checked.
    #[serde(default)]
    pub digest: Option<String>,
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
            labels_from: Some(LabelSource::Auto),
            flip: None,
            items: None,
            digest: None,
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
            labels: self.label_source(),
            flips: self.flip,
            seed,
            split: if self.knows_only_folders() { Split::All } else { self.split },
        }
    }

    /// Returns where labels come from.
    fn label_source(&self) -> LabelSource {
        match &self.labels_from {
            _ if !self.labels => LabelSource::None,
            Some(source) => source.clone(),
            None if self.knows_only_folders() => LabelSource::Folders,
            None => LabelSource::Auto,
        }
    }

    /// Returns whether the run was begun by a version that saw no splits in a folder, and no labels
    /// but the names of folders.
    fn knows_only_folders(&self) -> bool {
        self.labels_from.is_none() && matches!(self.source.parse(), Ok(Source::Folder(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older(source: &str, labels: bool) -> LoadOptions {
        let json = format!("{{\"source\": \"{source}\", \"labels\": {labels}}}");
        let config: DataConfig = serde_json::from_str(&json).unwrap();
        config.load_options(0)
    }

    #[test]
    fn a_run_of_an_older_version_loads_what_that_version_loaded() {
        let folder = older("folder:pictures", true);
        assert_eq!((folder.labels, folder.split), (LabelSource::Folders, Split::All));
        let unlabelled = older("folder:pictures", false);
        assert_eq!((unlabelled.labels, unlabelled.split), (LabelSource::None, Split::All));
        let table = older("parquet:pets", true);
        assert_eq!((table.labels, table.split), (LabelSource::Auto, Split::Train));
    }

    #[test]
    fn the_source_of_labels_survives_a_checkpoint() {
        let labels_from = Some(LabelSource::Metadata(Some("breed".to_owned())));
        let config = DataConfig { labels_from, ..DataConfig::from_source("folder:pets") };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("\"metadata:breed\""), "{json}");
        assert_eq!(serde_json::from_str::<DataConfig>(&json).unwrap(), config);
    }

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
