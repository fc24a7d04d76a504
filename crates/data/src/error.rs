//! Why a data set could not be loaded, grouped by what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::names::shown;

/// Every message states what is wrong, where, and what to try next.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Name a data set that exists.
    #[error(
        "`{name}` is not a data set: {problem}; use swissroll, gaussian8, gaussian25, \
         gaussian8-labels, gaussian25-labels or glyphs (a count may follow: `glyphs:5000`), \
         mnist:DIR, cifar10:PATH, celeba:PATH, celebahq:PATH, lsun:PATH, parquet:PATH or \
         folder:PATH"
    )]
    Source {
        /// What the user typed.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Change an option: it does not fit the data set.
    #[error("{data_set}: {problem}")]
    Option {
        /// The data set as the user named it.
        data_set: String,
        /// What does not fit, and what to use instead.
        problem: String,
    },
    /// Check the path: files are missing.
    #[error("{}: {problem}", shown(path))]
    Missing {
        /// Where they were expected.
        path: PathBuf,
        /// What is missing there.
        problem: String,
    },
    /// Check permissions and the disk.
    #[error("cannot read {}", shown(path))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// Fetch or write the file again: its content violates its format.
    #[error("{}: {problem}", shown(path))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Say what is meant, with the flag that the message names: the data can be read in more than
    /// one way, or lacks the labels or the split that were asked for.
    #[error("{}: {problem}", path.display())]
    Unclear {
        /// The folder, archive or table.
        path: PathBuf,
        /// What is unclear, and the flags that decide.
        problem: String,
    },
    /// Load less at a time: all pictures are held in memory.
    #[error(
        "{}: {pictures} pictures need {:.1} GB of memory, more than is available; choose a \
         smaller `--image-size`, or `--greyscale`",
        shown(path), *bytes as f64 / 1e9
    )]
    Memory {
        /// Where the pictures come from.
        path: PathBuf,
        /// Number of pictures.
        pictures: usize,
        /// Memory they need.
        bytes: usize,
    },
    /// Repair or remove the pictures, or leave them out.
    #[error(
        "{broken} of {total} pictures cannot be used; the first is {}: {reason}; repair or remove \
         them, or leave them out with `--on-broken skip`",
        shown(first)
    )]
    Broken {
        /// Number of unusable pictures.
        broken: usize,
        /// Number of pictures found.
        total: usize,
        /// The first unusable one.
        first: PathBuf,
        /// What is wrong with the first.
        reason: String,
    },
}

impl DataError {
    /// Reports a file whose content violates its format.
    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Reports data that can be read in more than one way.
    pub(crate) fn unclear(path: &Path, problem: impl Into<String>) -> Self {
        Self::Unclear { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Reports a missing file or folder.
    pub(crate) fn missing(path: &Path, problem: impl Into<String>) -> Self {
        Self::Missing { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Wraps the system's error for a file or folder; for `map_err`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Read { path: path.to_path_buf(), cause }
    }

    /// Turns the error of one file among many into text that follows its name.
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Format { problem, .. } | Self::Missing { problem, .. } => problem,
            Self::Read { cause, .. } => format!("cannot read it: {cause}"),
            other => other.to_string(),
        }
    }

    /// Wraps an error of a walk through the folder `root`; for `map_err`.
    pub(crate) fn walk(root: &Path) -> impl FnOnce(walkdir::Error) -> Self {
        move |cause| {
            let path = cause.path().unwrap_or(root).to_path_buf();
            Self::Read { path, cause: io::Error::from(cause) }
        }
    }
}
