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
    /// Use an earlier checkpoint: this one is damaged.
    #[error("{}: {problem}; {}", path.display(), way_out(path, older.as_deref()))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// The folder of the checkpoint before it, if there is one.
        older: Option<PathBuf>,
    },
    /// Use the program that wrote it, or a newer one.
    #[error(
        "{}: has version {found}, and this program knows {known}: use the newer one that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// The state cannot be turned into a file.
    #[error("{}: cannot be written: {problem}; earlier checkpoints are untouched", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What libtorch or the format refuses.
        problem: String,
    },
    /// Wait for the other process, stop it, or use another folder.
    #[error(
        "{run} is being trained by {holder}: wait until it ends or stop it, or name another folder",
        run = run.display()
    )]
    Running {
        /// The folder of the run.
        run: PathBuf,
        /// The process, and its host.
        holder: String,
    },
}

/// Says what to do about a damaged file of a checkpoint.
fn way_out(file: &Path, older: Option<&Path>) -> String {
    let folder = file.parent().unwrap_or(file).display();
    match older {
        Some(older) => format!(
            "the checkpoint before it is {older}: name that folder, or remove {folder} to resume \
             from there",
            older = older.display()
        ),
        None => {
            "there is no earlier checkpoint beside it: copy it again, or begin a new run".into()
        }
    }
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

    /// Reports what cannot be turned into the file at `path`.
    pub(crate) fn encode(path: &Path, problem: &impl ToString) -> Self {
        Self::Encode { path: path.into(), problem: problem.to_string() }
    }
}
