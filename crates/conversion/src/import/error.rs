//! The errors of an import.

use std::io;
use std::path::{Path, PathBuf};

use ddpm_network::{ConfigError, StateError};

use crate::export::ExportError;

/// The reason why a model cannot be imported, grouped by the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Check the path and its permissions.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// Name another file: this one is damaged, or of another format than its name suggests.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        problem: String,
    },
    /// A setting that would change outputs and is not supported.
    #[error("{}: {key} = {value} is not supported: {problem}", path.display())]
    Setting {
        /// The file of settings.
        path: PathBuf,
        /// Its key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// The values that are supported, or why this one is not.
        problem: String,
    },
    /// Supply it with a flag.
    #[error("{}: it lacks {what}: give {flag}", path.display())]
    Missing {
        /// The source.
        path: PathBuf,
        /// The missing setting.
        what: &'static str,
        /// The flag that supplies it.
        flag: &'static str,
    },
    /// Two sources contradict each other.
    #[error("{key} is {stated} according to {stated_by}, but {found} according to the weights")]
    Contradiction {
        /// The setting.
        key: String,
        /// Its value according to the settings.
        stated: String,
        /// The origin of these settings.
        stated_by: String,
        /// Its value according to the weights.
        found: String,
    },
    /// The settings of the network are not valid.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The weights do not fit the network that the settings describe.
    #[error(transparent)]
    State(#[from] StateError),
    /// The settings of the process are not valid.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
    /// The package cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

impl ImportError {
    /// Returns the error of a file that cannot be read; for `map_err`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Read { path, cause }
    }

    /// Returns the error of a file that is damaged or of another format.
    pub(crate) fn format(path: &Path, problem: &impl ToString) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}
