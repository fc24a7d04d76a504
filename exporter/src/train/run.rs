//! The loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judging::{Judging, Verdict};
use super::metrics::Metrics;
use super::preview::Preview;
use super::summary::Summary;
use super::{
    Batches, Checkpoint, Judge, Prefetch, Progress, RunDir, StepReport, Stop, TrainConfig,
    TrainError, Trainer, animation,
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
/// Every step is shown to `watch`, and samples to `judge`, if there is one, as often as `config.eval`
/// says. Checkpoints, pictures and the log go to `run`; the last thing done, however the loop ends
/// without an error, is a checkpoint.
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
    judge: Option<&mut dyn Judge>,
) -> Result<Outcome, TrainError> {
    let (start, begun_at) = (Instant::now(), trainer.steps_done());
    run.remove_unfinished()?;
    let preview = Preview::new(config, &dataset);
    let whole = Batches::new(config, dataset)?.on(trainer.device())?;
    let batches = whole.clone().share_of(trainer)?;
    let metrics = Metrics::open(run, begun_at, config, batches.trained())?;
    let judging = judge.map(|judge| Judging::new(config, &run.metrics(), judge)).transpose()?;
    let mut show = Show {
        run,
        config,
        metrics,
        stop,
        judging,
        progress: Progress::new(config.steps, begun_at, config.batch_size),
        preview,
        held_out: whole,
        aside: Duration::ZERO,
        shown: Shown::default(),
    };
    let mut saved = run.newest_checkpoint().ok();
    let mut last = None;
    for batch in Prefetch::start(batches, begun_at, config.steps) {
        let batch = batch?;
        let report = trainer.step(&batch)?;
        watch(&report);
        show.metrics.step(&report)?;
        show.progress.step(&report);
        let done = trainer.steps_done();
        if due(done, config.watch.held_out_every) {
            show.judge(trainer)?;
        }
        if due(done, config.intervals.sample_every) {
            show.samples(trainer)?;
        }
        if due(done, config.eval.every) {
            show.evaluate(trainer)?;
        }
        // Last: what a run shows of a step must not be missing if it goes on from its checkpoint.
        if due(done, config.intervals.checkpoint_every) {
            trainer.prove(&batch)?;
            saved = Some(show.save(trainer)?);
        }
        last = Some(batch);
        if stop.requested().is_some() {
            break;
        }
    }
    let newest = match saved {
        Some(checkpoint) if checkpoint.state().steps_done == trainer.steps_done() => checkpoint,
        _ => {
            last.as_ref().map_or(Ok(()), |batch| trainer.prove(batch))?;
            show.save(trainer)?
        }
    };
    let folder = newest.folder().to_path_buf();
    let stopped = stop.requested().filter(|_| trainer.steps_done() < config.steps);
    // Who asks to stop does not want to wait for more.
    if stopped.is_none() && last.is_some() {
        show.last_words(trainer)?;
    }
    trainer.end(stopped)?;
    show.progress.finish();
    let taken = trainer.steps_done() - begun_at;
    let summary = Summary {
        run,
        steps: [trainer.steps_done(), taken],
        batch_size: config.batch_size,
        time: start.elapsed(),
        training: start.elapsed().saturating_sub(show.aside),
        loss: show.metrics.loss(),
        held_out_loss: show.metrics.held_out_loss(),
        quality: show.judging.as_ref().and_then(Judging::quality),
        checkpoint: folder.clone(),
        animation: show.shown.animation,
    };
    eprintln!("{summary}");
    Ok(match stopped {
        Some(signal) => Outcome::Stopped(signal, folder),
        None => Outcome::Finished(folder),
    })
}

/// What a run leaves for people to see.
struct Show<'a> {
    run: &'a RunDir,
    config: &'a TrainConfig,
    metrics: Metrics,
    progress: Progress,
    preview: Preview,
    stop: &'a Stop,
    judging: Option<Judging<'a>>,
    /// Makes the batches of the items held out.
    held_out: Batches,
    /// Time that went to all this, and not to steps.
    aside: Duration,
    shown: Shown,
}

/// After how many steps things were last shown.
#[derive(Default)]
struct Shown {
    judged: Option<u32>,
    evaluated: Option<u32>,
    samples: Option<u32>,
    animation: Option<PathBuf>,
}

impl Show<'_> {
    fn save(&mut self, trainer: &Trainer) -> Result<Checkpoint, TrainError> {
        let start = Instant::now();
        let checkpoint = Checkpoint::save(self.run, self.config, trainer, self.metrics.loss())?;
        self.spent(start.elapsed());
        Ok(checkpoint)
    }

    /// Takes time that went to something else out of the rates.
    fn spent(&mut self, time: Duration) {
        self.progress.pause(time);
        self.metrics.pause(time);
        self.aside += time;
    }

    /// The loss on the items held out, if there are any.
    fn judge(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        if self.config.watch.held_out == 0 {
            return Ok(());
        }
        let (start, done) = (Instant::now(), trainer.steps_done());
        let loss = trainer.judge_all(self.held_out.held_out())?;
        self.metrics.held_out(done, loss)?;
        self.progress.note(&format!("step {done}: loss {loss:.5} on the items held out"));
        self.shown.judged = Some(done);
        self.spent(start.elapsed());
        Ok(())
    }

    /// A picture of samples.
    fn samples(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let (start, done) = (Instant::now(), trainer.steps_done());
        let shown = self.preview.write(self.run, self.config, trainer)?;
        self.metrics.picture(done, &shown.png)?;
        self.progress.note(&format!("step {done}: {}", shown.path.display()));
        self.shown.samples = Some(done);
        self.spent(start.elapsed());
        Ok(())
    }

    /// How good samples are, if somebody judges them. Where they cannot be judged, that is said, and the
    /// run goes on.
    fn evaluate(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let Some(judging) = &mut self.judging else { return Ok(()) };
        let (start, done) = (Instant::now(), trainer.steps_done());
        let said = match judging.judge(self.config, trainer, self.stop)? {
            Verdict::Judged(line, scores) => {
                self.metrics.judged(&line, &scores)?;
                let scores: Vec<String> = scores.iter().map(ToString::to_string).collect();
                scores.join(", ")
            }
            Verdict::CutShort => "asked to stop, so samples are not judged".to_owned(),
            Verdict::Failed(fault) => format!("warning: samples cannot be judged: {fault}"),
        };
        self.progress.note(&format!("step {done}: {said}"));
        self.shown.evaluated = Some(done);
        self.spent(start.elapsed());
        Ok(())
    }

    /// What is shown at the end, as far as it was not just shown.
    fn last_words(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let done = Some(trainer.steps_done());
        if self.shown.judged != done {
            self.judge(trainer)?;
        }
        if self.shown.evaluated != done {
            self.evaluate(trainer)?;
        }
        if self.config.intervals.sample_every > 0 {
            if self.shown.samples != done {
                self.samples(trainer)?;
            }
            self.shown.animation = animation::write(self.run)?;
        }
        Ok(())
    }
}

/// Whether something that happens every so many steps happens now; 0 is never.
fn due(done: u32, every: u32) -> bool {
    every > 0 && done.is_multiple_of(every)
}
