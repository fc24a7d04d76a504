//! Why a checkpoint cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Continue the run in the folder, or use another folder.
    #[error(
        "{path} already holds a run; continue it with `--resume {path}`, or name another folder",
        path = .0.display()
    )]
    Occupied(PathBuf),
    /// Name a run that has saved a checkpoint.
    #[error(
        "{}: no checkpoint to resume from; name the folder of a run that has saved one",
        .0.display()
    )]
    NoCheckpoint(PathBuf),
    /// Fix the disk or its permissions.
    #[error(
        "{}: cannot be written: {cause}; earlier checkpoints are untouched: free space or fix the \
         permissions, then continue with --resume",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Check the path and its permissions.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Use an earlier checkpoint: this one is damaged, or has a newer version.
    #[error("{}: {problem}; remove its checkpoint to resume from the one before", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl CheckpointError {
    /// Returns a function for `map_err` that reports that `path` cannot be written.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }

    /// Returns a function for `map_err` that reports that `path` cannot be read.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Read { path, cause }
    }

    pub(crate) fn format(path: &Path, problem: &impl ToString) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}
