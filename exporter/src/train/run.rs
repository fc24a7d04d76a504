//! The loop.

use std::path::PathBuf;
use std::sync::Arc;

use super::metrics::Metrics;
use super::{
    Batches, Checkpoint, Prefetch, Progress, RunDir, StepReport, Stop, TrainConfig, TrainError,
    Trainer, preview,
};
use crate::data::Dataset;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are taken; the last checkpoint is here.
    Finished(PathBuf),
    /// It was asked to stop by this signal, and saved this checkpoint.
    Stopped(i32, PathBuf),
}

/// Trains from where `trainer` stands until `config.steps`, or until `stop` is asked.
///
/// Every step is shown to `watch`. Checkpoints, grids and the log go to `run`; the last thing done,
/// however the loop ends without an error, is a checkpoint.
///
/// # Errors
///
/// [`TrainError::NotFinite`] if training diverges, [`TrainError::Checkpoint`] or
/// [`TrainError::Write`] if something cannot be written. Checkpoints from before are kept.
pub fn run(
    run: &RunDir,
    config: &TrainConfig,
    dataset: Arc<Dataset>,
    trainer: &mut Trainer,
    stop: &Stop,
    watch: &mut dyn FnMut(&StepReport),
) -> Result<Outcome, TrainError> {
    let batches = Batches::new(config, dataset)?.share_of(trainer)?;
    let mut metrics = Metrics::open(run, trainer.steps_done(), config.batch_size)?;
    let mut progress = Progress::new(config.steps, trainer.steps_done(), config.batch_size);
    let mut saved = run.newest_checkpoint().ok();
    let mut last = None;
    for batch in Prefetch::start(batches, trainer.steps_done(), config.steps) {
        let batch = batch?;
        let report = trainer.step(&batch)?;
        watch(&report);
        metrics.step(&report)?;
        progress.step(&report);
        let done = trainer.steps_done();
        if due(done, config.intervals.checkpoint_every) {
            trainer.prove(&batch)?;
            saved = Some(progress.aside(|| save(run, config, trainer, &metrics))?);
        }
        if due(done, config.intervals.sample_every) {
            let path = progress.aside(|| preview::write(run, config, trainer))?;
            progress.note(&format!("step {done}: {}", path.display()));
        }
        last = Some(batch);
        if stop.requested().is_some() {
            break;
        }
    }
    progress.finish();
    let newest = match saved {
        Some(checkpoint) if checkpoint.state().steps_done == trainer.steps_done() => checkpoint,
        _ => {
            last.as_ref().map_or(Ok(()), |batch| trainer.prove(batch))?;
            save(run, config, trainer, &metrics)?
        }
    };
    let folder = newest.folder().to_path_buf();
    let signal = stop.requested().filter(|_| trainer.steps_done() < config.steps);
    trainer.end(signal)?;
    Ok(signal.map_or(Outcome::Finished(folder.clone()), |signal| Outcome::Stopped(signal, folder)))
}

fn save(
    run: &RunDir,
    config: &TrainConfig,
    trainer: &Trainer,
    metrics: &Metrics,
) -> Result<Checkpoint, TrainError> {
    Ok(Checkpoint::save(run, config, trainer, metrics.loss())?)
}

/// Whether something that happens every so many steps happens now; 0 is never.
fn due(done: u32, every: u32) -> bool {
    every > 0 && done.is_multiple_of(every)
}
