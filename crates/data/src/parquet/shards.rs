//! Finds the files of a split by their names.
//!
//! Hugging Face names them `train-00000-of-00002.parquet`, or `0000.parquet` in a folder `train`.
//! Names without a split mean the train split.

use std::path::{Path, PathBuf};

use crate::names::extension;
use crate::places::{absent, found_in};
use crate::tree::Listing;
use crate::{DataError, Split, split_names};

/// The files of one split.
#[derive(Debug, Default)]
pub(super) struct Shards {
    /// In the order of their paths.
    pub(super) files: Vec<PathBuf>,
    /// What cannot be read and may be one of them, each with the reason.
    pub(super) broken: Vec<(PathBuf, String)>,
}

/// Finds the files of one split.
///
/// # Errors
///
/// [`DataError::Missing`] if there are none, [`DataError::Read`] if the system fails to read.
pub(super) fn find(path: &Path, split: Split) -> Result<Shards, DataError> {
    if path.is_file() {
        return match split {
            _ if split == Split::All
                || split == split_of(Path::new(path.file_name().unwrap_or_default())) =>
            {
                Ok(Shards { files: vec![path.to_path_buf()], broken: Vec::new() })
            }
            _ => Err(DataError::missing(
                path,
                "going by its name, it is of another split; name the folder, or use all",
            )),
        };
    }
    if !path.is_dir() {
        return Err(absent(path, "folder or file"));
    }
    let Listing { mut files, mut broken, .. } = Listing::of(path)?;
    files.retain(|name| extension(name).is_some_and(|extension| extension == "parquet"));
    // An unreadable folder may hold some.
    let may_be_one = |name: &Path| extension(name).is_none_or(|extension| extension == "parquet");
    broken.retain(|(name, _)| may_be_one(name));
    if files.is_empty() && broken.is_empty() {
        let problem = format!("there is no .parquet file in it or below it; {}", found_in(path));
        return Err(DataError::missing(path, problem));
    }
    files.retain(|name| split == Split::All || split == split_of(name));
    if files.is_empty() && broken.is_empty() {
        let problem = "going by names, no .parquet file here is of this split; use another, or all";
        return Err(DataError::missing(path, problem));
    }
    files.sort();
    Ok(Shards {
        files: files.into_iter().map(|name| path.join(name)).collect(),
        broken: broken.into_iter().map(|(name, reason)| (path.join(name), reason)).collect(),
    })
}

/// Returns the split that the name of a file names, or that of a folder above it.
fn split_of(file: &Path) -> Split {
    let name_of = |part: &Path| split_names::within(part.file_name()?);
    file.ancestors().find_map(name_of).unwrap_or(Split::Train)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_or_a_folder_above_it_names_the_split() {
        for (file, split) in [
            ("data/train-00000-of-00002.parquet", Split::Train),
            ("data/test-00000-of-00001-1a2b.parquet", Split::Test),
            ("validation.parquet", Split::Valid),
            ("default/test/0000.parquet", Split::Test),
            ("plain/val/train_1.parquet", Split::Train),
            ("pictures.parquet", Split::Train),
            ("testament.parquet", Split::Train),
            ("mnist_test.parquet", Split::Test),
            ("evaluation/0000.parquet", Split::Test),
        ] {
            assert_eq!(split_of(Path::new(file)), split, "{file}");
        }
    }
}
