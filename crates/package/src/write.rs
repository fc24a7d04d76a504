//! Writes packages whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_files::{WholeFolder, follow};

use crate::read::check_relative;
use crate::{Error, FileEntry, MANIFEST_FILE, Manifest, Sha256Hex};

/// A package being written. If dropped before [`PackageWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PackageWriter {
    target: PathBuf,
    overwrite: bool,
    folder: WholeFolder,
    files: Vec<FileEntry>,
}

impl PackageWriter {
    /// Starts a package that will be placed at `target`.
    ///
    /// * `overwrite`: whether to replace an existing package.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if there is a package that is not to be replaced, [`Error::Occupied`] if
    /// there is anything else; [`Error::Io`] if its parent cannot be written to.
    pub fn new(target: &Path, overwrite: bool) -> Result<Self, Error> {
        // A link to a package stays: the package behind it is replaced.
        let target = std::path::absolute(target)
            .and_then(|path| follow(&path))
            .map_err(Error::io(target))?;
        let is_package = target.join(MANIFEST_FILE).is_file();
        match fs::symlink_metadata(&target).is_ok() {
            true if !is_package => return Err(Error::Occupied(target)),
            true if !overwrite => return Err(Error::Exists(target)),
            _ => {}
        }
        let parent = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let folder = WholeFolder::create_in(parent, ".ddpm-package-").map_err(Error::io(parent))?;
        Ok(Self { target, overwrite, folder, files: Vec::new() })
    }

    /// Adds a file that is part of the model's identity.
    ///
    /// * `path`: relative, with `/`, not yet existing.
    ///
    /// # Errors
    ///
    /// [`Error::Path`] if the path breaks a rule; [`Error::Io`] if it cannot be
    /// written.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_relative(path).map_err(|fault| Error::Path {
            package: self.target.clone(),
            path: path.into(),
            fault,
        })?;
        self.write(path, bytes)?;
        let (size, sha256) = (bytes.len() as u64, Sha256Hex::of(bytes));
        self.files.push(FileEntry { path: path.into(), size, sha256 });
        Ok(())
    }

    /// Adds a file outside the model's identity: provenance, pictures, documentation. Readers do
    /// not verify it.
    ///
    /// # Errors
    ///
    /// As [`PackageWriter::add`].
    pub fn attach(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_relative(path).map_err(|fault| Error::Path {
            package: self.target.clone(),
            path: path.into(),
            fault,
        })?;
        self.write(path, bytes)
    }

    /// Writes the manifest with the list of added files, and moves the package into place. Returns
    /// the identity of the model.
    ///
    /// # Errors
    ///
    /// [`Error::Manifest`] if the manifest is invalid; [`Error::Io`] if something cannot be
    /// written. In both cases nothing changes.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<Sha256Hex, Error> {
        manifest.files = std::mem::take(&mut self.files);
        if !manifest.variants.is_empty() {
            manifest.manifest_version = Manifest::VERSION_WITH_VARIANTS.to_owned();
        }
        let path = self.target.join(MANIFEST_FILE);
        let fault = |reason| Error::Manifest { path: path.clone(), reason };
        manifest.check().map_err(fault)?;
        let json =
            serde_json::to_vec_pretty(&manifest).map_err(|error| fault(error.to_string()))?;
        self.write(MANIFEST_FILE, &json)?;
        let Self { target, overwrite, folder, .. } = self;
        folder.put(&target, overwrite).map_err(Error::io(&target))?;
        Ok(Sha256Hex::of(&json))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.folder.add(path, bytes).map_err(Error::io(&self.target.join(path)))
    }
}
