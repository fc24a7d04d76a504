//! Proof that a run could save itself, before hours are spent on it.

use std::fs;
use std::path::Path;

use super::{Checkpoint, CheckpointError, RunDir, TrainConfig, TrainError, Trainer};

/// Writes a checkpoint below a folder of a run, reads it back and takes it away; returns its bytes.
/// If the folder is not there, the nearest one above it that is there does as well.
///
/// # Errors
///
/// [`TrainError::Checkpoint`] if it cannot be written, or does not come back.
pub fn prove_checkpoint(
    run: &Path,
    config: &TrainConfig,
    trainer: &Trainer,
) -> Result<u64, TrainError> {
    let run = std::path::absolute(run).map_err(CheckpointError::write(run))?;
    let there = run.ancestors().find(|folder| folder.exists()).unwrap_or(&run);
    let scratch = tempfile::Builder::new()
        .prefix(".dry-run-")
        .tempdir_in(there)
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
