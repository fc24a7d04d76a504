//! Why training does not start, or stops.

mod checkpoint;
pub use checkpoint::CheckpointError;

use std::io;
use std::path::PathBuf;

use ddpm_data::DataError;
use ddpm_network::{ConfigError, StateError};
use ddpm_torch::distributed::GroupError;

/// Grouped by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Change a setting.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting, as in [`TrainConfig`](crate::TrainConfig).
        setting: &'static str,
        /// What it must be, and what it is.
        problem: String,
    },
    /// Change a setting of the network.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// Change a setting of the diffusion process, or of the sampler.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
    /// Use other data, or fix it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Name the place of the data.
    #[error("{cause}; if the data has moved, name its place with --data")]
    Moved {
        /// Why it cannot be loaded.
        #[source]
        cause: DataError,
    },
    /// Training diverged. The bad step was discarded.
    #[error(
        "step {step}: the {quantity} is {value}: training diverged; earlier checkpoints are kept. \
         Lower the learning rate, lengthen the warm-up, or train in fp32"
    )]
    NotFinite {
        /// The step, from 0.
        step: u32,
        /// Such as `loss` or `norm of the gradients`.
        quantity: &'static str,
        /// Infinite or NaN.
        value: f64,
    },
    /// The state cannot be written or read back.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tensors belong to another network.
    #[error(transparent)]
    State(#[from] StateError),
    /// A log or a picture cannot be written.
    #[error(
        "{}: cannot be written: {cause}; free space or fix the permissions, then continue with \
         --resume",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Signals cannot be handled, so an interrupted run could not save itself.
    #[error("signals cannot be watched: {0}")]
    Signals(io::Error),
    /// libtorch failed, usually for lack of memory.
    #[error("libtorch failed: {0}; if memory is short, lower the batch size")]
    Torch(#[from] tch::TchError),
    /// The processes of a run did not meet, or one was lost.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Our own extension of libtorch failed.
    #[error(transparent)]
    Shim(#[from] ddpm_torch::Error),
}

impl TrainError {
    /// Returns a function for `map_err` that reports that `path` cannot be written.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }
}
