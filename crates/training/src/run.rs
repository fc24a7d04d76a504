//! The training loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ddpm_data::Dataset;

use crate::batching::{Batch, Batches, Prefetch};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::judging::Judge;
use crate::monitor::Monitor;
use crate::signals::Signals;
use crate::step::{StepReport, Trainer};
use crate::store::{Checkpoint, RunDir};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are taken; this is the last checkpoint.
    Finished(PathBuf),
    /// This signal stopped it, and it saved this checkpoint.
    Stopped(i32, PathBuf),
}

/// Trains from the state of `trainer` until `config.steps`, or until `signals` request a stop.
///
/// However the loop ends, except with an error, its last state is saved. Checkpoints, pictures and
/// logs go to `run`.
///
/// * `watch`: called after every step.
/// * `judge`: judges samples at the intervals of `config.eval`, if present.
///
/// # Errors
///
/// [`TrainError::NotFinite`] if training diverges, [`TrainError::Checkpoint`] or
/// [`TrainError::Write`] if something cannot be written. Earlier checkpoints are kept.
pub fn run(
    run: &RunDir,
    config: &TrainConfig,
    dataset: Arc<Dataset>,
    trainer: &mut Trainer,
    signals: &Signals,
    watch: &mut dyn FnMut(&StepReport),
    judge: Option<&mut dyn Judge>,
) -> Result<Outcome, TrainError> {
    let (started, first_step) = (Instant::now(), trainer.steps_done());
    run.remove_unfinished()?;
    let all_rows = Batches::new(config, dataset)?.on_device(trainer.device())?;
    let own_rows = all_rows.clone().for_team(trainer.team())?;
    let mut monitor = Monitor::open(run, config, signals, all_rows, judge, first_step, started)?;
    let mut saved = run.newest_checkpoint().ok();
    let mut last_batch = None;
    for batch in Prefetch::start(own_rows, first_step, config.steps) {
        let batch = batch?;
        let report = trainer.step(&batch)?;
        watch(&report);
        monitor.step(&report)?;
        let steps_done = trainer.steps_done();
        if is_due(steps_done, config.watch.held_out_every) {
            monitor.held_out(trainer)?;
        }
        if is_due(steps_done, config.intervals.sample_every) {
            monitor.samples(trainer)?;
        }
        if is_due(steps_done, config.eval.every) {
            monitor.judged(trainer)?;
        }
        // Last, so that a run resumed from this checkpoint lacks nothing that belongs to the step.
        let requested = signals.take_save_request();
        if requested || is_due(steps_done, config.intervals.checkpoint_every) {
            let checkpoint = save(run, config, trainer, Some(&batch), &mut monitor)?;
            if requested {
                monitor.note(&format!("saved {}, as requested", checkpoint.folder().display()));
            }
            saved = Some(checkpoint);
        }
        last_batch = Some(batch);
        if signals.stop_requested().is_some() {
            break;
        }
    }
    let newest = match saved {
        Some(checkpoint) if checkpoint.state().steps_done == trainer.steps_done() => checkpoint,
        _ => save(run, config, trainer, last_batch.as_ref(), &mut monitor)?,
    };
    let stopped = signals.stop_requested().filter(|_| trainer.steps_done() < config.steps);
    // After a signal the process should end soon.
    if stopped.is_none() && last_batch.is_some() {
        monitor.final_state(trainer)?;
    }
    trainer.end(stopped)?;
    let checkpoint = newest.folder().to_path_buf();
    monitor.final_report(trainer.steps_done(), &checkpoint);
    Ok(match stopped {
        Some(signal) => Outcome::Stopped(signal, checkpoint),
        None => Outcome::Finished(checkpoint),
    })
}

/// Saves a checkpoint, unless the update of the last batch has ruined the weights.
fn save(
    run: &RunDir,
    config: &TrainConfig,
    trainer: &Trainer,
    last_batch: Option<&Batch>,
    monitor: &mut Monitor<'_>,
) -> Result<Checkpoint, TrainError> {
    last_batch.map_or(Ok(()), |batch| trainer.check_weights(batch))?;
    let start = Instant::now();
    let checkpoint = Checkpoint::save(run, config, trainer, monitor.loss())?;
    monitor.pause(start.elapsed());
    Ok(checkpoint)
}

/// Returns whether something due every `interval` steps is due now; 0: never.
fn is_due(steps_done: u32, interval: u32) -> bool {
    interval > 0 && steps_done.is_multiple_of(interval)
}
