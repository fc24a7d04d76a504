//! Writes packages whole or not at all: a temporary folder beside the target,
//! everything flushed to disk, then one rename.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Error, FileEntry, MANIFEST_FILE, Manifest, Sha256Hex, read::check_relative};

/// A package that is being written. Dropped before [`PackageWriter::finish`], it
/// leaves nothing.
#[derive(Debug)]
pub struct PackageWriter {
    target: PathBuf,
    overwrite: bool,
    folder: TempDir,
    files: Vec<FileEntry>,
}

impl PackageWriter {
    /// Starts a package that will stand at `target`.
    ///
    /// * `overwrite`: whether a package that stands there is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if the target is there and is not to be replaced, or is
    /// something other than a package; [`Error::Io`] if its parent cannot be
    /// written to.
    pub fn new(target: &Path, overwrite: bool) -> Result<Self, Error> {
        let target = std::path::absolute(target).map_err(Error::io(target))?;
        let is_package = target.join(MANIFEST_FILE).is_file();
        if fs::symlink_metadata(&target).is_ok() && !(overwrite && is_package) {
            return Err(Error::Exists(target));
        }
        let parent = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let folder = tempfile::Builder::new()
            .prefix(".ddpm-package-")
            .tempdir_in(parent)
            .map_err(Error::io(parent))?;
        Ok(Self { target, overwrite, folder, files: Vec::new() })
    }

    /// Adds a file that is part of the model's identity.
    ///
    /// * `path`: relative, with `/`, not yet there.
    ///
    /// # Errors
    ///
    /// [`Error::Path`] if the path breaks a rule; [`Error::Io`] if it cannot be
    /// written.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_relative(path).map_err(|fault| Error::Path { path: path.into(), fault })?;
        self.write(path, bytes)?;
        let (size, sha256) = (bytes.len() as u64, Sha256Hex::of(bytes));
        self.files.push(FileEntry { path: path.into(), size, sha256 });
        Ok(())
    }

    /// Adds a file that is not: provenance, pictures, words for people. Readers
    /// do not verify it.
    ///
    /// # Errors
    ///
    /// As [`PackageWriter::add`].
    pub fn attach(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_relative(path).map_err(|fault| Error::Path { path: path.into(), fault })?;
        self.write(path, bytes)
    }

    /// Writes the manifest with the list of the files added, and puts the
    /// package in its place. Returns the identity of the model.
    ///
    /// # Errors
    ///
    /// [`Error::Manifest`] if the manifest is not valid; [`Error::Io`] if
    /// something cannot be written. In both cases nothing was changed.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<Sha256Hex, Error> {
        manifest.files = std::mem::take(&mut self.files);
        let path = self.target.join(MANIFEST_FILE);
        let fault = |reason| Error::Manifest { path: path.clone(), reason };
        manifest.check().map_err(fault)?;
        let json =
            serde_json::to_vec_pretty(&manifest).map_err(|error| fault(error.to_string()))?;
        self.write(MANIFEST_FILE, &json)?;
        sync_folders(self.folder.path())?;
        self.put_in_place()?;
        Ok(Sha256Hex::of(&json))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let full = self.folder.path().join(path);
        let parent = full.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let mut file = File::create_new(&full).map_err(Error::io(&full))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(&full))
    }

    fn put_in_place(self) -> Result<(), Error> {
        let Self { target, overwrite, folder, .. } = self;
        let parent = target.parent().unwrap_or(Path::new("/")).to_path_buf();
        // Temporary folders are private; a package is for others to read.
        readable(folder.path())?;
        if overwrite && target.exists() {
            let old = folder.path().with_extension("old");
            fs::rename(&target, &old).map_err(Error::io(&target))?;
            if let Err(cause) = fs::rename(folder.path(), &target) {
                // The old one goes back; what matters is why the new one could not come.
                let _ = fs::rename(&old, &target);
                return Err(Error::io(&target)(cause));
            }
            fs::remove_dir_all(&old).map_err(Error::io(&old))?;
        } else {
            fs::rename(folder.path(), &target).map_err(Error::io(&target))?;
        }
        // The folder is no longer at its temporary place.
        let _ = folder.keep();
        sync(&parent)
    }
}

#[cfg(unix)]
fn readable(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, mode).map_err(Error::io(folder))
}

fn sync_folders(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync(folder)
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(Error::io(folder))
}
