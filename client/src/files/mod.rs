//! Files. Output is written beside its path and then renamed, so it is never partial.
//! Input is checked against the model.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

pub use ddpm_files::{folder_of, is_stdout};

use crate::error::Error;

mod png;

mod read;
pub use read::{read_images, read_mask, read_states};

/// Creates `folder` if it does not exist, and checks that files can be created in it.
///
/// # Errors
///
/// [`Error::File`] naming the folder.
pub fn prepare_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder)
        .map_err(|source| Error::file("create the folder", folder, source))?;
    ddpm_files::check_writable(folder).map_err(|source| Error::file("write into", folder, source))
}

/// Creates the folder of `path` if it does not exist, and checks that `path` can be written: a
/// device and a FIFO can, and `-` is standard output.
///
/// # Errors
///
/// [`Error::File`] naming the file or the folder.
pub fn prepare_file(path: &Path) -> Result<(), Error> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)
        .map_err(|source| Error::file("create the folder", folder, source))?;
    ddpm_files::check_target(path).map_err(|source| Error::file("write", path, source))
}

/// Writes `path` with `fill`. Until all of it is on disk, the file is absent or still
/// the old one, even after an error or a cancellation.
///
/// # Errors
///
/// [`Error::File`] naming `path`.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Error> {
    ddpm_files::write_whole(path, fill).map_err(|source| Error::file("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");

        let error = write_atomically(&path, |_| Err(io::Error::other("disk full")));

        let sentence = error.unwrap_err().to_string();
        assert_eq!(sentence, format!("cannot write {}: disk full", path.display()));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_is_created_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");

        prepare_folder(&inner).unwrap();

        assert!(names(&inner).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();

        let error = prepare_folder(&file.join("inner")).unwrap_err();

        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("file/inner"), "{error}");
    }
}
