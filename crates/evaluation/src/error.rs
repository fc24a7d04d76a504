//! The errors of an evaluation.

use std::io;
use std::path::{Path, PathBuf};

/// The reason why something cannot be evaluated, grouped by the remedy.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Name another file, or mend it.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The fault in it.
        problem: String,
    },
    /// The two sets, or a set and the extractor, do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// A requested measure is not available.
    #[error("--measures {measure}: {reason}")]
    Unavailable {
        /// Its name.
        measure: &'static str,
        /// The reason, and a remedy.
        reason: String,
    },
    /// The numbers cannot be compared.
    #[error(transparent)]
    Measure(#[from] ddpm_measures::Error),
    /// ONNX Runtime is missing, or cannot run the graph.
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
        /// The error of the operating system.
        cause: io::Error,
    },
}

impl EvaluateError {
    /// Returns the error of a file that cannot be used.
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }

    /// Returns the error of a file that cannot be written; for `map_err`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }
}
