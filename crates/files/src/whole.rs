//! Files that are complete or absent: written beside their place, flushed to disk, then renamed
//! into it.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, IntoInnerError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `path` with `fill`. Until all content is on disk, the file is absent or still the old
/// one, even after an error, a cancellation or a crash.
///
/// # Errors
///
/// The error of `fill`, or of the system.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let (file, place) = create_in(folder_of(path))?.into_parts();
    let mut out = BufWriter::new(file);
    fill(&mut out)?;
    // This flushes too.
    let file = out.into_inner().map_err(IntoInnerError::into_error)?;
    file.sync_all()?;
    place.persist(path).map_err(|error| error.error)
}

/// Checks that a file can be created in `folder`; leaves none behind.
///
/// # Errors
///
/// The system's reason why it cannot.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    create_in(folder).map(drop)
}

/// Returns the folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a temporary file. Like any new file, it obeys the umask; a private one would surprise.
fn create_in(folder: &Path) -> io::Result<NamedTempFile> {
    Builder::new().prefix(".ddpm-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::test_support::names;

    #[test]
    fn a_failed_write_leaves_the_older_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write_whole(&path, |out| out.write_all(b"whole")).unwrap();

        let error = write_whole(&path, |out| {
            out.write_all(b"ha")?;
            Err(io::Error::other("disk full"))
        });

        assert_eq!(error.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn an_older_file_is_replaced_by_the_whole_of_the_newer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        // Longer than a buffer, so that part of it is written before the end.
        for content in [vec![1; 100_000], vec![2; 3]] {
            write_whole(&path, |out| out.write_all(&content)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["a.npy"]);
    }

    #[test]
    fn its_permissions_are_those_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, other] = ["ours", "other"].map(|name| folder.path().join(name));
        write_whole(&ours, |_| Ok(())).unwrap();
        File::create(&other).unwrap();

        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(other));
    }

    #[test]
    fn an_unwritable_folder_is_an_error_and_a_writable_one_is_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(folder.path()).unwrap();
        assert!(names(folder.path()).is_empty());
        assert!(check_writable(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_bare_name_lies_in_the_working_folder() {
        assert_eq!(folder_of(Path::new("a.npy")), Path::new("."));
        assert_eq!(folder_of(Path::new("z/a.npy")), Path::new("z"));
    }
}
