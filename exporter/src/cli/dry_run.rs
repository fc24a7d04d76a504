//! `train --dry-run`: one real update, what the run would cost, and a checkpoint that is taken away.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{HumanBytes, HumanDuration};

use super::Failure;
use crate::data::Dataset;
use crate::train::{Batches, TrainConfig, Trainer, prove_checkpoint};

/// Updates that are timed after the first, which is slower than those that follow.
const TIMED: u32 = 2;
/// Numbers a parameter: weight, average, gradient and Adam's two moments.
const COPIES: u64 = 5;

/// Takes updates that nobody keeps and prints what a run would be like.
///
/// * `run`: the folder that the run would have.
pub(super) fn dry_run(
    run: &Path,
    config: &TrainConfig,
    dataset: Arc<Dataset>,
    trainer: &mut Trainer,
) -> Result<(), Failure> {
    let batches = Batches::new(config, dataset)?.on(trainer.device())?.share_of(trainer)?;
    let left = config.steps.saturating_sub(trainer.steps_done());
    let parameters: usize = trainer.weights().iter().map(|(_, tensor)| tensor.numel()).sum();
    let first = trainer.step(&batches.make(trainer.steps_done())?)?;
    let start = Instant::now();
    for _ in 0..TIMED {
        trainer.step(&batches.make(trainer.steps_done())?)?;
    }
    let step = start.elapsed() / TIMED;
    trainer.end(None)?;
    let bytes = prove_checkpoint(run, config, trainer)?;

    println!("parameters        {parameters}");
    println!("first update      loss {:.4}, gradients {:.4}", first.loss, first.grad_norm);
    println!(
        "memory            {} for weights, average, gradients and optimiser",
        HumanBytes(COPIES * 4 * parameters as u64)
    );
    if let Some(peak) = peak_memory() {
        println!("                  {} at most so far, for the whole process", HumanBytes(peak));
    }
    println!(
        "time              {:.3} s a step, {:.1} items/s",
        step.as_secs_f64(),
        config.batch_size as f64 / step.as_secs_f64().max(1e-9)
    );
    println!("                  {} for {left} steps", HumanDuration(step.saturating_mul(left)));
    println!(
        "checkpoints       {} each, {} are kept; one was written below {}, read back and removed",
        HumanBytes(bytes),
        config.intervals.keep,
        run.display()
    );
    Ok(())
}

/// The most memory that this process had, in bytes; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}
