//! The folder of a run: where its checkpoints, log, pictures and package are.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Checkpoint, CheckpointError};

/// How the name of a checkpoint's folder begins; the number of steps follows.
pub(super) const PREFIX: &str = "step-";

/// How the name of a checkpoint's folder begins while it is written.
pub(super) const UNFINISHED: &str = ".writing-";

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// A folder for a run that has not begun; made if it is not there.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Occupied`] if it holds checkpoints; [`CheckpointError::Write`] if it
    /// cannot be made or written to.
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

    /// The folder of a run, if one has left a checkpoint there.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if that cannot be found out.
    pub fn begun(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let run = Self(std::path::absolute(path).map_err(CheckpointError::write(path))?);
        let has_checkpoints = !run.checkpoint_folders()?.is_empty();
        Ok(has_checkpoints.then_some(run))
    }

    /// The folder of a run that has begun.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoCheckpoint`] if there is nothing to go on from.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = std::path::absolute(path).map_err(CheckpointError::write(path))?;
        let run = Self(path);
        run.newest_checkpoint()?;
        Ok(run)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the checkpoints are, a folder each.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// Where grids of samples are, a picture each.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// The log: a line of JSON every few steps.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Event files for TensorBoard.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.0.join("tensorboard")
    }

    /// All pictures of samples, played one after the other.
    #[must_use]
    pub fn animation(&self) -> PathBuf {
        self.samples().join("training.gif")
    }

    /// Where the finished model goes.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.0.join("package")
    }

    /// The checkpoint after the most steps.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoCheckpoint`] if there is none; [`CheckpointError::Read`] or
    /// [`CheckpointError::Format`] if it cannot be read.
    pub fn newest_checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let newest = self.checkpoint_folders()?.pop();
        Checkpoint::open(&newest.ok_or_else(|| CheckpointError::NoCheckpoint(self.0.clone()))?)
    }

    /// Removes what a run that was killed while it wrote a checkpoint has left.
    pub(super) fn remove_unfinished(&self) -> Result<(), CheckpointError> {
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

    /// The folders of all checkpoints, oldest first.
    pub(super) fn checkpoint_folders(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let folder = self.checkpoints();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).map_err(CheckpointError::read(&folder))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(CheckpointError::read(&folder))?.path();
            if let Some(steps) = steps_of(&path) {
                found.push((steps, path));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

/// The number in the name of a checkpoint's folder; `None` for anything else, such as a folder that
/// was being written when the machine went down.
fn steps_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}
