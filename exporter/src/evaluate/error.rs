//! Why something could not be evaluated, grouped by what its owner can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Every message says what is wrong, where, and what to try next.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Name another file, or mend it.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The two sides, or a side and the extractor, do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// A measure was asked for that cannot be had.
    #[error("--measures {measure}: {reason}")]
    Unavailable {
        /// Its name.
        measure: &'static str,
        /// Why not, and what would help.
        reason: String,
    },
    /// The numbers cannot be compared.
    #[error(transparent)]
    Measure(#[from] ddpm_evaluation::Error),
    /// ONNX Runtime is not there, or cannot run the graph.
    #[error(transparent)]
    Onnx(#[from] ddpm_onnx::Error),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
    /// Mend the disk or its permissions.
    #[error("{}: cannot be written: {cause}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl EvaluateError {
    /// A file that cannot be used.
    pub(super) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }

    /// A file that cannot be written; for `map_err`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }
}
