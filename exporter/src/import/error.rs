//! Why a model of another program cannot be taken over.

use std::io;
use std::path::{Path, PathBuf};

use crate::export::package::ExportError;
use crate::model::{ConfigError, StateError};

/// Grouped by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Check the path and its permissions.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Name another file: this one is damaged, or not what its name says.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that would change outputs and is not known here.
    #[error("{}: {key} = {value} is not supported: {problem}", path.display())]
    Setting {
        /// The file of settings.
        path: PathBuf,
        /// Its key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// What is supported, or why not.
        problem: String,
    },
    /// Say it with a flag.
    #[error("{}: it does not hold {what}: give {flag}", path.display())]
    Missing {
        /// The source.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// How to say it.
        flag: &'static str,
    },
    /// Two sources contradict each other.
    #[error("{key} is {said} by {source_of_said}, but {found} by the weights")]
    Contradiction {
        /// The setting.
        key: String,
        /// Its value by the settings.
        said: String,
        /// Where they come from.
        source_of_said: String,
        /// Its value by the weights.
        found: String,
    },
    /// The settings make no network.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The weights are not those of the network that the settings describe.
    #[error(transparent)]
    State(#[from] StateError),
    /// The settings make no process.
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
    /// A file that cannot be read; for `map_err`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Read { path, cause }
    }

    /// A file that is not what it should be.
    pub(crate) fn format(path: &Path, problem: &impl ToString) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}
