//! The digests of a checkpoint's files, in the format of `sha256sum`: a damaged file is found
//! before it is trained on or exported.

use std::path::Path;
use std::{fs, io};

use ddpm_package::Sha256Hex;

use crate::error::CheckpointError;
use crate::store::newest::damaged;

/// Name of the file; `sha256sum --check SHA256SUMS` reads it too.
pub(super) const FILE: &str = "SHA256SUMS";

/// The digests of a checkpoint's files; none of a checkpoint of an older version.
#[derive(Debug, Clone, Default)]
pub(super) struct Digests(Vec<(String, String)>);

impl Digests {
    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.push((name.to_owned(), Sha256Hex::of(bytes).to_string()));
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect()
    }

    /// Reads the digests of the checkpoint in a folder.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if they cannot be read, [`CheckpointError::Damaged`] if they are
    /// not digests.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(CheckpointError::read(&path))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let entries = text.lines().map(|line| {
            let (digest, name) = line.split_once("  ").filter(|(digest, _)| digest.len() == 64)?;
            Some((name.to_owned(), digest.to_owned()))
        });
        let entries: Option<Vec<_>> = entries.collect();
        match entries {
            Some(entries) if !entries.is_empty() => Ok(Self(entries)),
            _ => Err(damaged(&path, &"it does not list digests")),
        }
    }

    /// Reads a file of the checkpoint, and checks that it is the one that was written.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if it cannot be read, [`CheckpointError::Damaged`] if its bytes
    /// have changed.
    pub(super) fn read_file(&self, folder: &Path, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(CheckpointError::read(&path))?;
        if self.0.is_empty() {
            return Ok(bytes);
        }
        let listed = self.0.iter().find(|(listed, _)| listed == name);
        match listed {
            Some((_, digest)) if *digest == Sha256Hex::of(&bytes).to_string() => Ok(bytes),
            Some(_) => {
                let problem = "its bytes are not those that were written: its SHA-256 is another";
                Err(damaged(&path, &problem))
            }
            None => Err(damaged(&path, &format!("{FILE} does not list it"))),
        }
    }
}
