//! Finds the files of a split by their names.
//!
//! Hugging Face names them `train-00000-of-00002.parquet`, or `0000.parquet` in a folder `train`.
//! Names without a split mean the train split.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::{DataError, Split, picture, split_names};

/// Finds the files of one split, in the order of their paths.
///
/// # Errors
///
/// [`DataError::Missing`] if there are none, [`DataError::Read`] if the system fails to read.
pub(super) fn find(path: &Path, split: Split) -> Result<Vec<PathBuf>, DataError> {
    if path.is_file() {
        return match split {
            Split::All => Ok(vec![path.to_path_buf()]),
            _ if split == split_of(Path::new(path.file_name().unwrap_or_default())) => {
                Ok(vec![path.to_path_buf()])
            }
            _ => Err(DataError::missing(
                path,
                "going by its name, it is of another split; name the folder, or use all",
            )),
        };
    }
    if !path.is_dir() {
        return Err(DataError::missing(path, "there is no such folder or file"));
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(DataError::walk(path))?;
        let is_shard = picture::extension(entry.path()).is_some_and(|name| name == "parquet");
        if is_shard && entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        return Err(DataError::missing(path, "there is no .parquet file in it or below it"));
    }
    let wanted = |file: &PathBuf| {
        split == Split::All || split == split_of(file.strip_prefix(path).unwrap_or(file))
    };
    files.retain(wanted);
    if files.is_empty() {
        let problem = "going by names, no .parquet file here is of this split; use another, or all";
        return Err(DataError::missing(path, problem));
    }
    Ok(files)
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
