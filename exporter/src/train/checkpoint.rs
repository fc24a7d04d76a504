//! The state of a run on disk: a folder that is whole or not there.
//!
//! ```text
//! checkpoints/step-0002000/
//!   weights.safetensors    the network
//!   ema.safetensors        its moving average: what is sampled and exported
//!   optimizer.safetensors  Adam's moments and number of steps
//!   state.json             the run's settings, the number of steps, the loss
//! ```
//!
//! Everything is written to a temporary folder, flushed to disk, and renamed into its place. A full
//! disk leaves the checkpoints that were there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ddpm_files::WholeFolder;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::run_dir::{PREFIX, UNFINISHED};
use super::tensors::serialize;
use super::{RunDir, TrainConfig, TrainError, Trainer};
use crate::model::Network;

const WEIGHTS: &str = "weights.safetensors";
const EMA: &str = "ema.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// The only version of the format so far.
const VERSION: u32 = 1;

/// What a checkpoint says in words and numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// Version of this format.
    pub version: u32,
    /// Steps taken.
    pub steps_done: u32,
    /// Mean loss of the steps before it; absent before the first.
    #[serde(default)]
    pub loss: Option<f64>,
    /// How many threads shared the rows of a batch, which decides how sums are rounded; absent in older ones.
    #[serde(default)]
    pub workers: Option<usize>,
    /// The run's settings.
    pub config: TrainConfig,
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    state: CheckpointState,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Go on with what is there, or begin elsewhere.
    #[error("{path}: a run is here already; go on with `--resume {path}`, or name another folder", path = .0.display())]
    Occupied(PathBuf),
    /// Name a run that has saved something.
    #[error("{}: there is no checkpoint to go on from; name the folder of a run that has saved one", .0.display())]
    NoCheckpoint(PathBuf),
    /// Mend the disk or its permissions.
    #[error(
        "{}: cannot be written: {cause}; earlier checkpoints are untouched: free space or mend the \
         permissions, then go on with --resume",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Check the path and its permissions.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Use an earlier checkpoint: this one is damaged, or of a newer version.
    #[error("{}: {problem}; remove it to go on from the one before", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl CheckpointError {
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }

    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Read { path, cause }
    }

    fn format(path: &Path, problem: &impl ToString) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}

impl Checkpoint {
    /// Writes the state of a run, and removes the checkpoints beyond the newest
    /// `config.intervals.keep`.
    ///
    /// * `loss`: mean loss of the last steps, for people.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`] if it cannot be written; then the others are as they were.
    pub fn save(
        run: &RunDir,
        config: &TrainConfig,
        trainer: &Trainer,
        loss: Option<f64>,
    ) -> Result<Self, CheckpointError> {
        let steps_done = trainer.steps_done();
        let state = CheckpointState {
            version: VERSION,
            steps_done,
            loss,
            workers: Some(trainer.workers()),
            config: config.clone(),
        };
        let parent = run.checkpoints();
        let target = parent.join(format!("{PREFIX}{steps_done:07}"));
        let folder =
            WholeFolder::create_in(&parent, UNFINISHED).map_err(CheckpointError::write(&parent))?;
        let parts = [
            (WEIGHTS, trainer.weights()),
            (EMA, trainer.averaged().parameters()),
            (OPTIMIZER, trainer.optimizer_state()),
        ];
        for (name, tensors) in parts {
            let path = target.join(name);
            let bytes =
                serialize(&tensors).map_err(|error| CheckpointError::format(&path, &error))?;
            folder.add(name, &bytes).map_err(CheckpointError::write(path))?;
        }
        let path = target.join(STATE);
        let json = serde_json::to_vec_pretty(&state)
            .map_err(|error| CheckpointError::format(&path, &error))?;
        folder.add(STATE, &json).map_err(CheckpointError::write(path))?;
        folder.put(&target, false).map_err(CheckpointError::write(&target))?;
        remove_old(run, config.intervals.keep)?;
        Ok(Self { folder: target, state })
    }

    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if `state.json` is not there, [`CheckpointError::Format`] if it is
    /// damaged or of a newer version.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(STATE);
        let json = fs::read(&path).map_err(CheckpointError::read(&path))?;
        let state: CheckpointState = serde_json::from_slice(&json)
            .map_err(|error| CheckpointError::format(&path, &error))?;
        if state.version != VERSION {
            let problem = format!("is of version {}, this build knows {VERSION}", state.version);
            return Err(CheckpointError::format(&path, &problem));
        }
        Ok(Self { folder: folder.to_path_buf(), state })
    }

    /// Opens what a user named: a checkpoint, or a run, whose newest one is meant.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoCheckpoint`] if it is neither; otherwise as [`Checkpoint::open`].
    pub fn find(path: &Path) -> Result<Self, CheckpointError> {
        if path.join(STATE).is_file() {
            return Self::open(path);
        }
        RunDir::open(path)?.newest_checkpoint()
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says in words and numbers.
    #[must_use]
    pub fn state(&self) -> &CheckpointState {
        &self.state
    }

    /// The run's settings.
    #[must_use]
    pub fn config(&self) -> &TrainConfig {
        &self.state.config
    }

    /// The state of the run, ready for the next step.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] or [`TrainError::State`] if a file is damaged.
    pub fn trainer(&self, device: Device) -> Result<Trainer, TrainError> {
        let mut trainer = Trainer::new(self.config(), device)?;
        let [weights, ema, optimizer] =
            [self.tensors(WEIGHTS)?, self.tensors(EMA)?, self.tensors(OPTIMIZER)?];
        trainer.restore(self.state.steps_done, &weights, &ema, &optimizer)?;
        Ok(trainer)
    }

    /// The network with the averaged weights, or with those of the last step (`raw`).
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] or [`TrainError::State`] if the file is damaged.
    pub fn network(&self, raw: bool, device: Device) -> Result<Network, TrainError> {
        let store = tch::nn::VarStore::new(device);
        let network = Network::new(&store.root(), &self.config().model)?;
        network.load_state(&self.tensors(if raw { WEIGHTS } else { EMA })?)?;
        Ok(network)
    }

    fn tensors(&self, name: &str) -> Result<Vec<(String, Tensor)>, CheckpointError> {
        let path = self.folder.join(name);
        // libtorch's own message would not name the file.
        File::open(&path).map_err(CheckpointError::read(&path))?;
        Tensor::read_safetensors(&path).map_err(|error| CheckpointError::format(&path, &error))
    }
}

fn remove_old(run: &RunDir, keep: usize) -> Result<(), CheckpointError> {
    let folders = run.checkpoint_folders()?;
    for folder in &folders[..folders.len().saturating_sub(keep)] {
        fs::remove_dir_all(folder).map_err(CheckpointError::write(folder))?;
    }
    Ok(())
}
