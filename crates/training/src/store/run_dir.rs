//! The folder of a run: its checkpoints, logs, pictures and package.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CheckpointError;

/// Prefix of the name of a checkpoint's folder; the number of steps follows.
pub(super) const PREFIX: &str = "step-";

/// Prefix of the name of a checkpoint's folder while it is being written.
pub(super) const UNFINISHED: &str = ".writing-";

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunDir(pub(super) PathBuf);

impl RunDir {
    /// Prepares a folder for a new run; creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Occupied`] if it holds checkpoints; [`CheckpointError::Write`] if it
    /// cannot be created or written to.
    pub fn create(path: &Path) -> Result<Self, CheckpointError> {
        let path = std::path::absolute(path).map_err(CheckpointError::write(path))?;
        let run = Self(path);
        // Damaged ones count too: they are somebody's work.
        if run.checkpoint_folders().is_ok_and(|folders| !folders.is_empty()) {
            return Err(CheckpointError::Occupied(run.0));
        }
        for folder in [run.checkpoints(), run.samples()] {
            fs::create_dir_all(&folder).map_err(CheckpointError::write(&folder))?;
        }
        Ok(run)
    }

    /// Opens the folder of a run, if it holds a checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if the folder of checkpoints cannot be listed.
    pub fn open_if_begun(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let run = Self(std::path::absolute(path).map_err(CheckpointError::write(path))?);
        let has_checkpoints = !run.checkpoint_folders()?.is_empty();
        Ok(has_checkpoints.then_some(run))
    }

    /// Returns the folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the folder of checkpoints, each a folder of its own.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// Returns the folder of pictures of samples.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// Returns the path of the log for programs, with a line of JSON every few steps.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Returns the path of the log for people in the folder of a run: what it printed.
    #[must_use]
    pub fn log_of(run: &Path) -> PathBuf {
        run.join("log.txt")
    }

    /// Returns the folder of event files for TensorBoard.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.0.join("tensorboard")
    }

    /// Returns the path of the animation of all pictures of samples.
    #[must_use]
    pub fn animation(&self) -> PathBuf {
        self.samples().join("training.gif")
    }

    /// Returns the folder of the finished model.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.0.join("package")
    }

    /// Removes what is left of a checkpoint if the run was killed while it wrote one.
    pub(crate) fn remove_unfinished(&self) -> Result<(), CheckpointError> {
        let folder = self.checkpoints();
        for entry in fs::read_dir(&folder).map_err(CheckpointError::read(&folder))? {
            let path = entry.map_err(CheckpointError::read(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_dir_all(&path).map_err(CheckpointError::write(&path))?;
            }
        }
        Ok(())
    }

    /// Lists the folders of all checkpoints, oldest first.
    pub(super) fn checkpoint_folders(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let folder = self.checkpoints();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).map_err(CheckpointError::read(&folder))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(CheckpointError::read(&folder))?.path();
            if let Some(steps) = steps_in_name(&path) {
                found.push((steps, path));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

/// Parses the number in the name of a checkpoint's folder; `None` for any other name, such as that
/// of a folder that was being written when the machine went down.
pub(super) fn steps_in_name(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}
