//! Folders that are complete or absent: filled beside their place, flushed to disk, then renamed
//! into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

/// A folder being filled. If dropped before [`WholeFolder::put`], it leaves nothing behind.
#[derive(Debug)]
pub struct WholeFolder {
    /// Private, unlike its content; also holds the old folder during a replacement.
    scratch: TempDir,
}

impl WholeFolder {
    /// Starts an empty folder.
    ///
    /// * `parent`: the folder that will hold it.
    /// * `prefix`: start of its temporary name, so that leftovers of a crash can be recognised.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn create_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        let scratch = Builder::new().prefix(prefix).tempdir_in(parent)?;
        let folder = Self { scratch };
        fs::create_dir(folder.filled())?;
        Ok(folder)
    }

    /// Adds a file, creating its parent folders.
    ///
    /// * `path`: relative, not yet existing.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn add(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = self.filled().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Moves it into place.
    ///
    /// * `target`: its place in the parent; not a link: [`follow`](crate::follow) it first.
    /// * `replace`: whether to replace an existing folder; nothing else is ever replaced.
    ///
    /// # Errors
    ///
    /// The system's error, and [`io::ErrorKind::NotADirectory`] for a target that is a file, a link
    /// or a device; then the existing folder is unchanged.
    pub fn put(self, target: &Path, replace: bool) -> io::Result<()> {
        sync_folders(&self.filled())?;
        let old = self.scratch.path().join("old");
        match fs::symlink_metadata(target) {
            Ok(existing) if !existing.is_dir() => {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(_) if replace => fs::rename(target, &old)?,
            _ => {}
        }
        if let Err(cause) = fs::rename(self.filled(), target) {
            // Put the old one back; the error to report is that of the new one.
            let _ = fs::rename(&old, target);
            return Err(cause);
        }
        target.parent().map_or(Ok(()), sync)
    }

    fn filled(&self) -> PathBuf {
        self.scratch.path().join("new")
    }
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::test_support::names;

    fn filled(parent: &Path, content: &[u8]) -> WholeFolder {
        let folder = WholeFolder::create_in(parent, ".new-").unwrap();
        folder.add("a/b.bin", content).unwrap();
        folder
    }

    #[test]
    fn a_folder_is_moved_into_place_and_nothing_is_left_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("whole");
        filled(parent.path(), b"1").put(&target, false).unwrap();
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"1");
        filled(parent.path(), b"2").put(&target, true).unwrap();
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"2");
        assert_eq!(names(parent.path()), ["whole"]);
    }

    #[test]
    fn without_replace_the_old_folder_stays_and_a_dropped_one_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("whole");
        filled(parent.path(), b"1").put(&target, false).unwrap();
        assert!(filled(parent.path(), b"2").put(&target, false).is_err());
        drop(filled(parent.path(), b"3"));
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"1");
        assert_eq!(names(parent.path()), ["whole"]);
    }

    #[test]
    fn a_file_a_link_or_a_device_is_never_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| parent.path().join(name));
        fs::write(&file, "mine").unwrap();
        symlink("/dev/null", &link).unwrap();
        for target in [&file, &link] {
            let error = filled(parent.path(), b"1").put(target, true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert!(link.is_symlink());
        assert_eq!(names(parent.path()), ["file", "link"]);
    }

    #[test]
    fn a_file_is_added_once() {
        let parent = tempfile::tempdir().unwrap();
        let folder = filled(parent.path(), b"1");
        assert!(folder.add("a/b.bin", b"2").is_err());
    }

    #[test]
    fn its_permissions_are_those_of_any_new_folder() {
        let parent = tempfile::tempdir().unwrap();
        let [ours, other] = ["ours", "other"].map(|name| parent.path().join(name));
        filled(parent.path(), b"1").put(&ours, false).unwrap();
        fs::create_dir(&other).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(other));
    }
}
