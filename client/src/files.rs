//! Files. What is written is written whole: beside its place, then renamed into it.
//! What is read is checked against the model it is for.

use std::{
    fs,
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::{Builder, NamedTempFile};

use crate::error::Error;

mod npy;

mod read;
pub use read::{read_images, read_mask, read_states};

/// Creates `folder` if need be, and tries whether a file can be made in it.
///
/// # Errors
///
/// [`Error::File`] naming the folder.
pub fn prepare_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| failed("create the folder", folder, source))?;
    create_beside(folder).map(drop).map_err(|source| failed("write into", folder, source))
}

/// Writes `path` by `fill`. Until all of it is on its way to the disk the file
/// does not exist, or is the older one; after an error or a cancellation too.
///
/// # Errors
///
/// [`Error::File`] naming `path`.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<NamedTempFile>) -> io::Result<()>,
) -> Result<(), Error> {
    write(path, fill).map_err(|source| failed("write", path, source))
}

fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<NamedTempFile>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(create_beside(folder_of(path))?);
    fill(&mut file)?;
    file.flush()?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// As any other new file, it obeys the umask; a private one would surprise.
fn create_beside(folder: &Path) -> io::Result<NamedTempFile> {
    let permissions = fs::Permissions::from_mode(0o666);
    Builder::new().prefix(".ddpm-").permissions(permissions).tempfile_in(folder)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_older_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write_atomically(&path, |out| out.write_all(b"whole")).unwrap();

        let error = write_atomically(&path, |out| {
            out.write_all(b"ha")?;
            Err(io::Error::other("disk full"))
        });

        let sentence = error.unwrap_err().to_string();
        assert_eq!(sentence, format!("cannot write {}: disk full", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_folder_is_created_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");

        prepare_folder(&inner).unwrap();

        assert!(names(&inner).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();

        let error = prepare_folder(&file.join("inner")).unwrap_err();

        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("file/inner"), "{error}");
    }
}
