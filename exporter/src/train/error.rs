//! Why training did not start, or did not go on.

use std::io;
use std::path::PathBuf;

use ddpm_torch::distributed::GroupError;

use super::CheckpointError;
use crate::data::DataError;
use crate::model::{ConfigError, StateError};

/// Grouped by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Change a setting.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting, as in [`TrainConfig`](super::TrainConfig).
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
    /// Name other data, or mend it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training diverged. Nothing of the bad step was kept.
    #[error(
        "step {step}: the {quantity} is {value}: training diverged; checkpoints from before are kept. \
         Lower the learning rate, lengthen the warm-up, or train in fp32"
    )]
    NotFinite {
        /// The step, from 0.
        step: u32,
        /// `loss` or `norm of the gradients`.
        quantity: &'static str,
        /// Infinite or NaN.
        value: f64,
    },
    /// The state cannot be written or read back.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Tensors that are not this network's.
    #[error(transparent)]
    State(#[from] StateError),
    /// A log or a picture cannot be written.
    #[error("{}: cannot be written: {cause}; free or mend the place, then go on with --resume", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Signals cannot be handled, so an interrupted run could not save itself.
    #[error("cannot watch for SIGINT and SIGTERM: {0}")]
    Signals(io::Error),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}; if memory is short, lower the batch size")]
    Torch(#[from] tch::TchError),
    /// The processes of a run do not meet, or one is lost.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Our part of libtorch failed.
    #[error(transparent)]
    Shim(#[from] ddpm_torch::Error),
}

impl TrainError {
    /// A file or folder that cannot be written; for `map_err`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }
}
