//! `train --dry-run`: takes real updates, prints what the run would cost, and proves that a
//! checkpoint can be written.

use std::sync::Arc;
use std::time::Instant;

use ddpm_training::{Batches, Session, rehearse_checkpoint};
use indicatif::{HumanBytes, HumanDuration};

use crate::cli::Failure;
use crate::cli::output::out;

/// Updates timed after the first, which is slower than the rest.
const TIMED_UPDATES: u32 = 2;
/// Numbers stored per parameter: weight, average, gradient and Adam's two moments.
const COPIES: u64 = 5;

/// Takes throw-away updates and prints speed, memory and checkpoint size of the run.
pub(super) fn dry_run(session: &mut Session) -> Result<(), Failure> {
    let (run, config) = (session.folder().to_path_buf(), session.config().clone());
    let dataset = Arc::clone(session.dataset());
    let trainer = session.rehearse()?;
    let batches = Batches::new(&config, dataset)?.on_device(trainer.device())?;
    let batches = batches.for_team(trainer.team())?;
    let left = config.steps.saturating_sub(trainer.steps_done());
    let parameters: usize = trainer.weights().iter().map(|(_, tensor)| tensor.numel()).sum();
    let first = trainer.step(&batches.make(trainer.steps_done())?)?;
    let start = Instant::now();
    for _ in 0..TIMED_UPDATES {
        trainer.step(&batches.make(trainer.steps_done())?)?;
    }
    let step = start.elapsed() / TIMED_UPDATES;
    trainer.end(None)?;
    let bytes = rehearse_checkpoint(&run, &config, trainer)?;

    out!("parameters        {parameters}")?;
    out!("first update      loss {:.4}, gradients {:.4}", first.loss, first.grad_norm)?;
    out!(
        "memory            {} for weights, average, gradients and optimiser",
        HumanBytes(COPIES * 4 * parameters as u64)
    )?;
    if let Some(peak) = peak_memory() {
        out!("                  {} peak so far, for the whole process", HumanBytes(peak))?;
    }
    out!(
        "time              {:.3} s per step, {:.1} items/s",
        step.as_secs_f64(),
        config.batch_size as f64 / step.as_secs_f64().max(1e-9)
    )?;
    out!("                  {} for {left} steps", HumanDuration(step.saturating_mul(left)))?;
    out!(
        "checkpoints       {} each, {} kept; one was written below {}, read back and removed",
        HumanBytes(bytes),
        config.intervals.keep,
        run.display()
    )?;
    Ok(())
}

/// Returns this process's peak memory in bytes; `None` where the system does not report it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}
