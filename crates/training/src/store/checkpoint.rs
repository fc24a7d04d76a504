//! The state of a run on disk: a folder that is complete or does not exist.
//!
//! ```text
//! checkpoints/step-0002000/
//!   weights.safetensors    the network
//!   ema.safetensors        its moving average: what is sampled and exported
//!   optimizer.safetensors  Adam's moments and number of steps
//!   state.json             the run's settings, the number of steps, the loss
//!   SHA256SUMS             the digests of the files above
//! ```
//!
//! All files are written to a temporary folder, flushed to disk, and renamed into place. A full
//! disk leaves earlier checkpoints untouched.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_files::WholeFolder;
use ddpm_network::Network;
use ddpm_network::tensors::serialize;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::config::TrainConfig;
use crate::error::{CheckpointError, TrainError};
use crate::step::Trainer;
use crate::store::digests::{self, Digests};
use crate::store::newest::damaged;
use crate::store::run_dir::{PREFIX, RunDir, UNFINISHED};

const WEIGHTS: &str = "weights.safetensors";
const EMA: &str = "ema.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// The only version of the format so far.
const VERSION: u32 = 1;

/// A checkpoint without its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// Version of the format.
    pub version: u32,
    /// Steps taken.
    pub steps_done: u32,
    /// Mean loss in the last line of the log; absent before the first.
    #[serde(default)]
    pub loss: Option<f64>,
    /// Number of threads that shared the rows of a batch, which affects the rounding of sums;
    /// absent in older checkpoints.
    #[serde(default)]
    pub workers: Option<usize>,
    /// Whether digests of the files lie beside them; not so in older checkpoints.
    #[serde(default)]
    pub digests: bool,
    /// The run's settings.
    pub config: TrainConfig,
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    state: CheckpointState,
    digests: Digests,
}

impl Checkpoint {
    /// Writes the state of a run, then removes all but the newest `config.intervals.keep`
    /// checkpoints.
    ///
    /// * `loss`: mean loss of the last steps, for information only.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`] if it cannot be written; then the others are untouched.
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
            digests: true,
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
        let mut digests = Digests::default();
        let mut add = |name: &str, bytes: &[u8]| {
            digests.add(name, bytes);
            folder.add(name, bytes).map_err(CheckpointError::write(target.join(name)))
        };
        for (name, tensors) in parts {
            let refused = |error| CheckpointError::encode(&target.join(name), &error);
            add(name, &serialize(&tensors).map_err(refused)?)?;
        }
        let json = serde_json::to_vec_pretty(&state)
            .map_err(|error| CheckpointError::encode(&target.join(STATE), &error))?;
        add(STATE, &json)?;
        folder
            .add(digests::FILE, digests.text().as_bytes())
            .map_err(CheckpointError::write(target.join(digests::FILE)))?;
        folder.put(&target, false).map_err(CheckpointError::write(&target))?;
        remove_old(run, config.intervals.keep)?;
        Ok(Self { folder: target, state, digests })
    }

    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if `state.json` is missing, [`CheckpointError::Damaged`] if it is
    /// damaged, [`CheckpointError::Version`] if it has a newer version.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(STATE);
        let digests = Digests::read(folder)?;
        let json = digests.read_file(folder, STATE)?;
        let state: CheckpointState =
            serde_json::from_slice(&json).map_err(|error| damaged(&path, &error))?;
        if state.digests && digests.is_empty() {
            return Err(damaged(&folder.join(digests::FILE), &"it is missing"));
        }
        if state.version != VERSION {
            let (found, known) = (state.version, VERSION);
            return Err(CheckpointError::Version { path, found, known });
        }
        Ok(Self { folder: folder.to_path_buf(), state, digests })
    }

    /// Returns the folder of the checkpoint.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns everything but the tensors.
    #[must_use]
    pub fn state(&self) -> &CheckpointState {
        &self.state
    }

    /// Returns the run's settings.
    #[must_use]
    pub fn config(&self) -> &TrainConfig {
        &self.state.config
    }

    /// Loads the state of the run, ready for the next step.
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

    /// Loads the network with the averaged weights, or with those of the last step (`raw`).
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
        self.digests.read_file(&self.folder, name)?;
        Tensor::read_safetensors(&path).map_err(|error| damaged(&path, &error))
    }
}

/// Returns whether a folder is that of a checkpoint.
pub(super) fn is_checkpoint(folder: &Path) -> bool {
    folder.join(STATE).is_file()
}

fn remove_old(run: &RunDir, keep: usize) -> Result<(), CheckpointError> {
    let folders = run.checkpoint_folders()?;
    for folder in &folders[..folders.len().saturating_sub(keep)] {
        fs::remove_dir_all(folder).map_err(CheckpointError::write(folder))?;
    }
    Ok(())
}
