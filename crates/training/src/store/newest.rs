//! Finds the checkpoint to resume from: the newest one of a run.

use std::path::Path;

use crate::error::CheckpointError;
use crate::store::checkpoint::{self, Checkpoint};
use crate::store::run_dir::RunDir;

impl RunDir {
    /// Opens the folder of a run that has saved a checkpoint.
    ///
    /// # Errors
    ///
    /// As [`RunDir::newest_checkpoint`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = std::path::absolute(path).map_err(CheckpointError::write(path))?;
        let run = Self(path);
        run.newest_checkpoint()?;
        Ok(run)
    }

    /// Opens the checkpoint with the most steps.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoCheckpoint`] if there is none; [`CheckpointError::Read`] or
    /// [`CheckpointError::Format`] if it cannot be read.
    pub fn newest_checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let newest = self.checkpoint_folders()?.pop();
        Checkpoint::open(&newest.ok_or_else(|| CheckpointError::NoCheckpoint(self.0.clone()))?)
    }
}

impl Checkpoint {
    /// Opens the checkpoint in a folder, or the newest one of the run in it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoCheckpoint`] if it holds neither; otherwise as [`Checkpoint::open`].
    pub fn find(path: &Path) -> Result<Self, CheckpointError> {
        if checkpoint::is_checkpoint(path) {
            return Self::open(path);
        }
        RunDir::open(path)?.newest_checkpoint()
    }
}
