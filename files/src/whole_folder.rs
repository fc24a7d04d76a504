//! Folders that are whole or not there: filled beside their place, flushed to the disk, then renamed
//! into it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, TempDir};

/// A folder that is being filled. Dropped before [`WholeFolder::put`], it leaves nothing.
#[derive(Debug)]
pub struct WholeFolder {
    /// Private, unlike what is filled in it; holds what is replaced too, until it is.
    scratch: TempDir,
}

impl WholeFolder {
    /// Starts a folder.
    ///
    /// * `parent`: where it will stand.
    /// * `prefix`: how a name begins beside it until then, so that what a crash left can be told.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        let scratch = Builder::new().prefix(prefix).tempdir_in(parent)?;
        let folder = Self { scratch };
        fs::create_dir(folder.filled())?;
        Ok(folder)
    }

    /// Adds a file, and the folders on its way.
    ///
    /// * `path`: relative, not yet there.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn add(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = self.filled().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Puts it in its place.
    ///
    /// * `target`: in the parent.
    /// * `replace`: whether what stands there goes.
    ///
    /// # Errors
    ///
    /// What the system says; then what stood there stands there still.
    pub fn put(self, target: &Path, replace: bool) -> io::Result<()> {
        sync_folders(&self.filled())?;
        let old = self.scratch.path().join("old");
        if replace && target.exists() {
            fs::rename(target, &old)?;
        }
        if let Err(cause) = fs::rename(self.filled(), target) {
            // The old one goes back; what matters is why the new one could not come.
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn filled(parent: &Path, content: &[u8]) -> WholeFolder {
        let folder = WholeFolder::create_in(parent, ".new-").unwrap();
        folder.add("a/b.bin", content).unwrap();
        folder
    }

    #[test]
    fn a_folder_stands_in_its_place_and_nothing_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("whole");
        filled(parent.path(), b"1").put(&target, false).unwrap();
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"1");
        filled(parent.path(), b"2").put(&target, true).unwrap();
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"2");
        assert_eq!(names(parent.path()), ["whole"]);
    }

    #[test]
    fn what_is_not_to_be_replaced_stays_and_what_is_dropped_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("whole");
        filled(parent.path(), b"1").put(&target, false).unwrap();
        assert!(filled(parent.path(), b"2").put(&target, false).is_err());
        drop(filled(parent.path(), b"3"));
        assert_eq!(fs::read(target.join("a/b.bin")).unwrap(), b"1");
        assert_eq!(names(parent.path()), ["whole"]);
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
