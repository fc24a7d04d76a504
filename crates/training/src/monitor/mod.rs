//! What a run shows during training and at its end: rates, losses, logs, pictures.

mod meter;

mod progress;

mod append;

mod events;

mod metrics;

mod preview;

mod animation;

mod summary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::batching::Batches;
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::judging::{Judge, Judgement, Scoreboard};
use crate::monitor::metrics::Metrics;
use crate::monitor::preview::Preview;
use crate::monitor::progress::Progress;
use crate::monitor::summary::Summary;
use crate::signals::Signals;
use crate::step::{StepReport, Trainer};
use crate::store::RunDir;
use ddpm_console::note;

/// Shows the state of a run to people: on stderr, in logs, and as pictures. It changes nothing
/// about the training.
pub(crate) struct Monitor<'a> {
    run: &'a RunDir,
    config: &'a TrainConfig,
    signals: &'a Signals,
    metrics: Metrics,
    progress: Progress,
    preview: Preview,
    scoreboard: Option<Scoreboard<'a>>,
    /// Makes the batches of the held-out items.
    batches: Batches,
    started: Instant,
    first_step: u32,
    /// Time spent on anything but steps.
    paused: Duration,
    latest: Latest,
    animation: Option<PathBuf>,
    /// Logs and pictures that could not be written.
    unwritable: BTreeSet<PathBuf>,
}

/// The number of steps after which things were last shown.
#[derive(Default)]
struct Latest {
    held_out: Option<u32>,
    samples: Option<u32>,
    judged: Option<u32>,
}

impl<'a> Monitor<'a> {
    /// Opens the logs of a run that continues after `first_step` steps.
    ///
    /// * `batches`: whole batches, for the held-out items.
    /// * `started`: when the process began to train.
    pub(crate) fn open<'j: 'a>(
        run: &'a RunDir,
        config: &'a TrainConfig,
        signals: &'a Signals,
        batches: Batches,
        judge: Option<&'a mut (dyn Judge + 'j)>,
        first_step: u32,
        started: Instant,
    ) -> Result<Self, TrainError> {
        let preview = Preview::new(config, batches.dataset());
        let metrics = Metrics::open(run, first_step, config, batches.num_trained())?;
        let scoreboard =
            judge.map(|judge| Scoreboard::open(config, &run.metrics(), judge)).transpose()?;
        Ok(Self {
            run,
            config,
            signals,
            metrics,
            progress: Progress::new(config.steps, first_step, config.batch_size),
            preview,
            scoreboard,
            batches,
            started,
            first_step,
            paused: Duration::ZERO,
            latest: Latest::default(),
            animation: None,
            unwritable: BTreeSet::new(),
        })
    }

    /// Counts a step, and shows the means since the last time if that is due.
    pub(crate) fn step(&mut self, report: &StepReport) -> Result<(), TrainError> {
        let logged = self.metrics.step(report);
        self.tolerate(logged)?;
        self.progress.step(report);
        Ok(())
    }

    /// Prints a line.
    pub(crate) fn note(&self, line: &str) {
        self.progress.note(line);
    }

    /// Turns the failure to write a log or a picture into a warning, once per file: training
    /// matters more.
    fn tolerate(&mut self, written: Result<(), TrainError>) -> Result<(), TrainError> {
        let Err(TrainError::Write { path, cause }) = written else { return written };
        let warning = format!(
            "warning: {}: cannot be written: {cause}; training goes on without it",
            path.display()
        );
        if self.unwritable.insert(path) {
            self.progress.note(&warning);
        }
        Ok(())
    }

    /// Returns the mean loss in the last line of the log.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.metrics.loss()
    }

    /// Excludes time that was not spent on steps from the rates.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.progress.pause(time);
        self.metrics.pause(time);
        self.paused += time;
    }

    /// Shows the loss on the held-out items, if there are any.
    pub(crate) fn held_out(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        if self.config.watch.held_out == 0 {
            return Ok(());
        }
        let (start, step) = (Instant::now(), trainer.steps_done());
        let loss = trainer.held_out_loss(self.batches.held_out())?;
        let logged = self.metrics.held_out(step, loss);
        self.tolerate(logged)?;
        self.progress.note(&format!("step {step}: held-out loss {loss:.5}"));
        self.latest.held_out = Some(step);
        self.pause(start.elapsed());
        Ok(())
    }

    /// Writes a picture of samples.
    pub(crate) fn samples(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let (start, step) = (Instant::now(), trainer.steps_done());
        let drawn = self.preview.write(self.run, self.config, trainer).and_then(|picture| {
            self.progress.note(&format!("step {step}: {}", picture.path.display()));
            self.metrics.picture(step, &picture.png)
        });
        self.tolerate(drawn)?;
        self.latest.samples = Some(step);
        self.pause(start.elapsed());
        Ok(())
    }

    /// Shows the scores of samples, if there is a judge. If they cannot be judged, it says so, and
    /// the run continues.
    pub(crate) fn judged(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let Some(scoreboard) = &mut self.scoreboard else { return Ok(()) };
        let (start, step) = (Instant::now(), trainer.steps_done());
        let mut logged = Ok(());
        let note = match scoreboard.judge(self.config, trainer, self.signals)? {
            Judgement::Scored(line, scores) => {
                logged = self.metrics.judged(&line, &scores);
                let scores: Vec<String> = scores.iter().map(ToString::to_string).collect();
                scores.join(", ")
            }
            Judgement::Stopped => "stopping, so samples are not judged".to_owned(),
            Judgement::Failed(error) => format!("warning: samples cannot be judged: {error}"),
        };
        self.tolerate(logged)?;
        self.progress.note(&format!("step {step}: {note}"));
        self.latest.judged = Some(step);
        self.pause(start.elapsed());
        Ok(())
    }

    /// Shows everything that was not shown after the last step, whatever its interval.
    pub(crate) fn final_state(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let step = Some(trainer.steps_done());
        if self.latest.held_out != step {
            self.held_out(trainer)?;
        }
        if self.latest.judged != step {
            self.judged(trainer)?;
        }
        if self.config.intervals.sample_every > 0 {
            if self.latest.samples != step {
                self.samples(trainer)?;
            }
            match animation::write(self.run) {
                Ok(animation) => self.animation = animation,
                Err(error) => self.tolerate(Err(error))?,
            }
        }
        Ok(())
    }

    /// Prints the summary of the run.
    pub(crate) fn final_report(self, steps_done: u32, checkpoint: &Path) {
        self.progress.finish();
        let time = self.started.elapsed();
        let summary = Summary {
            run: self.run,
            steps: [steps_done, steps_done - self.first_step],
            batch_size: self.config.batch_size,
            time,
            training: time.saturating_sub(self.paused),
            loss: self.metrics.loss(),
            held_out_loss: self.metrics.held_out_loss(),
            quality: self.scoreboard.as_ref().and_then(Scoreboard::quality),
            checkpoint,
            animation: self.animation,
        };
        note!("{summary}");
    }
}
