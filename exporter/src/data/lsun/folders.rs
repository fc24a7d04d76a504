//! Which LMDB folders there are, and which category and split they hold, by their names.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment::FILE;
use crate::data::{DataError, Split};

/// A folder with an LMDB in it.
#[derive(Debug, PartialEq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// What is on its pictures, such as `church_outdoor`.
    pub(super) category: String,
    split: Split,
}

/// The folders of one split, in the order of their names. A name that tells no split is of the train split.
///
/// # Errors
///
/// [`DataError::Missing`] if there are none, [`DataError::Read`] if the system refuses.
pub(super) fn find(path: &Path, split: Split) -> Result<Vec<Folder>, DataError> {
    if !path.is_dir() {
        let problem = "there is no such folder; an archive of LSUN has to be unpacked first";
        return Err(DataError::missing(path, problem));
    }
    let mut folders = all(path)?;
    if folders.is_empty() {
        let problem = format!("there is no {FILE} in it, nor in a folder in it");
        return Err(DataError::missing(path, problem));
    }
    folders.retain(|folder| split == Split::All || split == folder.split);
    if folders.is_empty() {
        let problem = "none of its LMDB folders is of this split, by their names; or use all";
        return Err(DataError::missing(path, problem));
    }
    Ok(folders)
}

fn all(path: &Path) -> Result<Vec<Folder>, DataError> {
    if path.join(FILE).is_file() {
        // `.` and links to it have no name of their own.
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
