//! Finds LMDB folders; their names give category and split.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment::FILE;
use crate::{DataError, Split};

/// A folder with an LMDB environment.
#[derive(Debug, PartialEq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// What its pictures show, such as `church_outdoor`.
    pub(super) category: String,
    split: Split,
}

/// Finds the folders of one split, in the order of their names. A name without a split means the
/// train split.
///
/// # Errors
///
/// [`DataError::Missing`] if there are none, [`DataError::Read`] if the system fails to read.
pub(super) fn find(path: &Path, split: Split) -> Result<Vec<Folder>, DataError> {
    if !path.is_dir() {
        let problem = "there is no such folder; an archive of LSUN must be unpacked first";
        return Err(DataError::missing(path, problem));
    }
    let mut folders = all(path)?;
    if folders.is_empty() {
        let problem = format!("no {FILE} in it, nor in a folder in it");
        return Err(DataError::missing(path, problem));
    }
    folders.retain(|folder| split == Split::All || split == folder.split);
    if folders.is_empty() {
        let problem = "going by names, no LMDB folder in it is of this split; use another, or all";
        return Err(DataError::missing(path, problem));
    }
    Ok(folders)
}

fn all(path: &Path) -> Result<Vec<Folder>, DataError> {
    if path.join(FILE).is_file() {
        // The names of `.` and of links reveal nothing.
        let named = path.canonicalize().map_err(DataError::read(path))?;
        return Ok(vec![folder(path.to_path_buf(), &named)]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(DataError::read(path))? {
        let path = entry.map_err(DataError::read(path))?.path();
        if path.join(FILE).is_file() {
            folders.push(folder(path.clone(), &path));
        }
    }
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(folders)
}

fn folder(path: PathBuf, named: &Path) -> Folder {
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix("_lmdb").unwrap_or(&name);
    let (category, split) = match name.rsplit_once('_').unwrap_or(("", name)) {
        (category, "train") => (category, Split::Train),
        (category, "val") => (category, Split::Valid),
        (category, "test") => (category, Split::Test),
        _ => (name, Split::Train),
    };
    Folder { path, category: category.to_owned(), split }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_tells_category_and_split() {
        for (name, category, split) in [
            ("bedroom_train_lmdb", "bedroom", Split::Train),
            ("church_outdoor_val_lmdb", "church_outdoor", Split::Valid),
            ("test_lmdb", "", Split::Test),
            ("cat", "cat", Split::Train),
            ("potted_plant", "potted_plant", Split::Train),
        ] {
            let path = Path::new("lsun").join(name);
            let found = folder(path.clone(), &path);
            assert_eq!(found, Folder { path, category: category.to_owned(), split });
        }
    }
}
