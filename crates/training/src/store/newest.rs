//! Finds the checkpoint to resume from: the newest one of a run.

use std::path::{Path, PathBuf};

use crate::error::CheckpointError;
use crate::store::checkpoint::{self, Checkpoint};
use crate::store::run_dir::{RunDir, steps_in_name};

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
    /// [`CheckpointError::Damaged`] if it cannot be read.
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

/// Reports a damaged file of a checkpoint, and names the checkpoint before it.
pub(super) fn damaged(path: &Path, problem: &impl ToString) -> CheckpointError {
    let older = path.parent().and_then(older_than);
    CheckpointError::Damaged { path: path.into(), problem: problem.to_string(), older }
}

/// Finds the newest checkpoint before the one in `folder`, in the same run.
fn older_than(folder: &Path) -> Option<PathBuf> {
    let steps = steps_in_name(folder)?;
    let run = RunDir(folder.parent()?.parent()?.to_path_buf());
    let mut before = run.checkpoint_folders().ok()?;
    before.retain(|other| steps_in_name(other).is_some_and(|other| other < steps));
    before.pop()
}
