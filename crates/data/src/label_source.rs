//! Where labels come from, as the user asks for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where the labels of a data set come from.
///
/// [`FromStr`] reads and [`Display`](fmt::Display) writes the text form, which is also its form in
/// JSON: `auto`, `none`, `folders`, `file-names`, `dataset-json`, `metadata`, `metadata:COLUMN`,
/// `column:NAME`. Settings files may also say `true` for `auto` and `false` for `none`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub enum LabelSource {
    /// The data set's own labels. For folders and archives: `dataset.json`, else `metadata.csv` or
    /// `metadata.jsonl`, else the sub-folders; for a table its label column. What could be meant in
    /// two ways is an error.
    #[default]
    Auto,
    /// No labels, whatever the data says.
    None,
    /// The folder of each picture; pictures beside the class folders are left out.
    Folders,
    /// The part of each file's name before its number: `cat` for `cat.12.jpg`.
    FileNames,
    /// `dataset.json`, as StyleGAN and EDM write it; pictures that it does not name are left out.
    DatasetJson,
    /// A column of `metadata.csv` or `metadata.jsonl`, by default the only one that can hold
    /// labels; pictures that the file does not name are left out.
    Metadata(Option<String>),
    /// A column of a Parquet table.
    Column(String),
}

/// The text form or, in settings files, whether there are labels at all.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a source of labels such as \"folders\", or true or false")]
enum Written {
    Switch(bool),
    Text(String),
}

impl TryFrom<Written> for LabelSource {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Switch(true) => Ok(Self::Auto),
            Written::Switch(false) => Ok(Self::None),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<LabelSource> for String {
    fn from(source: LabelSource) -> Self {
        source.to_string()
    }
}

impl FromStr for LabelSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("metadata", column)) if !column.is_empty() => {
                Ok(Self::Metadata(Some(column.to_owned())))
            }
            Some(("column", name)) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
            None => match text {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "folders" => Ok(Self::Folders),
                "file-names" => Ok(Self::FileNames),
                "dataset-json" => Ok(Self::DatasetJson),
                "metadata" => Ok(Self::Metadata(None)),
                _ => Err(unknown(text)),
            },
            Some(_) => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> String {
    format!(
        "labels come from auto, none, folders, file-names, dataset-json, metadata, \
         metadata:COLUMN or column:NAME, not from {text:?}"
    )
}

impl fmt::Display for LabelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Folders => f.write_str("folders"),
            Self::FileNames => f.write_str("file-names"),
            Self::DatasetJson => f.write_str("dataset-json"),
            Self::Metadata(None) => f.write_str("metadata"),
            Self::Metadata(Some(column)) => write!(f, "metadata:{column}"),
            Self::Column(name) => write!(f, "column:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_source_is_read_back_from_its_own_text() {
        for text in [
            "auto",
            "none",
            "folders",
            "file-names",
            "dataset-json",
            "metadata",
            "metadata:breed: long",
            "column:fine_label",
        ] {
            let source: LabelSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            let json = serde_json::to_string(&source).unwrap();
            assert_eq!(serde_json::from_str::<LabelSource>(&json).unwrap(), source);
        }
        assert_eq!(serde_json::from_str::<LabelSource>("false").unwrap(), LabelSource::None);
        assert_eq!(serde_json::from_str::<LabelSource>("true").unwrap(), LabelSource::Auto);
        let other = serde_json::from_str::<LabelSource>("3").unwrap_err().to_string();
        assert!(other.contains("or true or false"), "{other}");
    }

    #[test]
    fn another_text_is_refused_with_a_list_of_the_sources() {
        for text in ["", "folder", "metadata:", "column", "column:", "folders:x"] {
            let message = text.parse::<LabelSource>().unwrap_err();
            assert!(message.contains("column:NAME") && message.contains(text), "{message}");
        }
    }
}
