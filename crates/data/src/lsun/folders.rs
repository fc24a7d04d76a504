//! Finds LMDB folders; their names give category and split.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::environment::FILE;
use crate::names::is_hidden;
use crate::places::{absent, found_in};
use crate::{DataError, Split, regular};

/// A folder with an LMDB environment.
#[derive(Debug, PartialEq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// What its pictures show, such as `church_outdoor`.
    pub(super) category: String,
    split: Split,
}

/// The folders of one split.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// In the order of their names.
    pub(super) found: Vec<Folder>,
    /// What cannot be read and may be one of them, each with the reason.
    pub(super) broken: Vec<(PathBuf, String)>,
}

/// Finds the folders of one split. A name without a split means the train split.
///
/// # Errors
///
/// [`DataError::Missing`] if there are none, [`DataError::Read`] if the system fails to read.
pub(super) fn find(path: &Path, split: Split) -> Result<Folders, DataError> {
    if !path.is_dir() {
        return Err(absent(path, "folder, into which an archive of LSUN must be unpacked first"));
    }
    let mut folders = all(path)?;
    if folders.found.is_empty() && folders.broken.is_empty() {
        let problem = format!("no {FILE} in it, nor in a folder in it; {}", found_in(path));
        return Err(DataError::missing(path, problem));
    }
    folders.found.retain(|folder| split == Split::All || split == folder.split);
    if folders.found.is_empty() && folders.broken.is_empty() {
        let problem = "going by names, no LMDB folder in it is of this split; use another, or all";
        return Err(DataError::missing(path, problem));
    }
    Ok(folders)
}

fn all(path: &Path) -> Result<Folders, DataError> {
    let mut folders = Folders::default();
    if path.join(FILE).is_file() {
        // The names of `.` and of links reveal nothing.
        let named = path.canonicalize().map_err(DataError::read(path))?;
        folders.found.push(folder(path.to_path_buf(), &named));
        return Ok(folders);
    }
    for entry in fs::read_dir(path).map_err(DataError::read(path))? {
        let entry = entry.map_err(DataError::read(path))?;
        if is_hidden(entry.file_name().as_ref()) {
            continue;
        }
        let path = entry.path();
        match state(&path) {
            Ok(true) => folders.found.push(folder(path.clone(), &path)),
            Ok(false) => {}
            Err(reason) => folders.broken.push((path, reason)),
        }
    }
    folders.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(folders)
}

/// Returns whether something is a folder with an environment.
///
/// # Errors
///
/// Why that cannot be known or used, as text that follows its name.
fn state(path: &Path) -> Result<bool, String> {
    let file = path.join(FILE);
    match fs::metadata(&file) {
        Ok(metadata) => match regular::kind(metadata.file_type()) {
            None => Ok(true),
            Some(kind) => Err(format!("its {FILE} is {kind}, not a file")),
        },
        Err(cause) if cause.kind() == ErrorKind::NotADirectory => Ok(false),
        // A link that leads nowhere looks like nothing.
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let leads_nowhere = |path: &Path| path.is_symlink() && !path.exists();
            match () {
                () if leads_nowhere(path) => Err("the link leads nowhere".to_owned()),
                () if leads_nowhere(&file) => Err(format!("its {FILE} is a link to nowhere")),
                () => Ok(false),
            }
        }
        Err(cause) => Err(format!("cannot read it: {cause}")),
    }
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
