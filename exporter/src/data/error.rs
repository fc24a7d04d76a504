//! Why a data set could not be loaded, grouped by what its owner can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Every message says what is wrong, where, and what to try next.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Name a data set that exists.
    #[error(
        "`{given}` is not a data set: {problem}; use swissroll, gaussian8, gaussian25, gaussian8-labels, \
         gaussian25-labels or glyphs (a count may follow: `glyphs:5000`), mnist:DIR, cifar10:PATH, celeba:PATH, \
         celebahq:PATH, lsun:PATH, parquet:PATH or folder:PATH"
    )]
    Source {
        /// What the user typed.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Change an option: it does not fit the data set.
    #[error("{data_set}: {problem}")]
    Option {
        /// The data set as the user named it.
        data_set: String,
        /// What does not fit, and what to say instead.
        problem: String,
    },
    /// Check the path: the files are not there.
    #[error("{}: {problem}", path.display())]
    Missing {
        /// Where they were looked for.
        path: PathBuf,
        /// What was expected there.
        problem: String,
    },
    /// Check permissions and the disk.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Fetch or write the file again: its content is not what its format demands.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Load less at a time: all pictures are held in memory.
    #[error(
        "{}: {pictures} pictures would take {:.1} GB of memory, and there is not so much; choose a smaller \
         `--image-size`, or `--greyscale`",
        path.display(), *bytes as f64 / 1e9
    )]
    Memory {
        /// Where the pictures come from.
        path: PathBuf,
        /// How many there are.
        pictures: usize,
        /// What they would take.
        bytes: usize,
    },
    /// Repair or remove the pictures, or leave them out.
    #[error(
        "{broken} of {total} pictures cannot be used; the first is {}: {reason}; repair or remove them, or leave them \
         out with `--on-broken skip`",
        first.display()
    )]
    Broken {
        /// How many cannot be used.
        broken: usize,
        /// How many were found.
        total: usize,
        /// The first of them.
        first: PathBuf,
        /// What is wrong with the first.
        reason: String,
    },
}

impl DataError {
    /// A file whose content is not what its format demands.
    pub(super) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A file or folder that is not there.
    pub(super) fn missing(path: &Path, problem: impl Into<String>) -> Self {
        Self::Missing { path: path.to_path_buf(), problem: problem.into() }
    }

    /// A file or folder that the system would not let us read; for `map_err`.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Read { path: path.to_path_buf(), cause }
    }
}
