//! Rehearses saving a run, before hours are spent on it.

use std::fs;
use std::path::Path;

use crate::config::TrainConfig;
use crate::error::{CheckpointError, TrainError};
use crate::step::Trainer;
use crate::store::checkpoint::Checkpoint;
use crate::store::run_dir::RunDir;

/// Writes a checkpoint below the folder of a run, reads it back, and removes it. Returns its size
/// in bytes. If the folder does not exist, its nearest existing ancestor is used instead.
///
/// # Errors
///
/// [`TrainError::Checkpoint`] if it cannot be written or read back.
pub fn rehearse_checkpoint(
    run: &Path,
    config: &TrainConfig,
    trainer: &Trainer,
) -> Result<u64, TrainError> {
    let run = std::path::absolute(run).map_err(CheckpointError::write(run))?;
    let existing = run.ancestors().find(|folder| folder.exists()).unwrap_or(&run);
    let scratch = tempfile::Builder::new()
        .prefix(".dry-run-")
        .tempdir_in(existing)
        .map_err(CheckpointError::write(&run))?;
    let checkpoint = Checkpoint::save(&RunDir::create(scratch.path())?, config, trainer, None)?;
    checkpoint.trainer(trainer.device())?;
    let entries =
        fs::read_dir(checkpoint.folder()).map_err(CheckpointError::read(scratch.path()))?;
    let sizes = entries.map(|entry| Ok(entry?.metadata()?.len()));
    let bytes = sizes.sum::<std::io::Result<u64>>().map_err(CheckpointError::read(&run))?;
    scratch.close().map_err(CheckpointError::write(&run))?;
    Ok(bytes)
}
