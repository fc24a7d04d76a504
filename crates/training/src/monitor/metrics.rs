//! The log of a run, for plots: a line of JSON every few steps, and the same numbers for
//! TensorBoard.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ddpm_files::write_whole;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::judging::{EvalLine, Score};
use crate::monitor::append::append_whole;
use crate::monitor::events::Events;
use crate::monitor::meter::{Meter, Reading};
use crate::step::StepReport;
use crate::store::RunDir;

/// Appends to `metrics.jsonl` and to an event file.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
    events: Events,
    meter: Meter,
    log_every: u32,
    steps_per_epoch: f64,
    opened: Instant,
    last: Option<Reading>,
    held_out: Option<f64>,
}

/// A line about the steps since the one before.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    reading: Reading,
    /// Passes over the data so far.
    epoch: f64,
    /// Time since this process began to train.
    seconds: f64,
}

/// A line about the held-out items.
#[derive(Serialize)]
struct HeldOutLine {
    step: u32,
    held_out_loss: f64,
}

impl Metrics {
    /// Opens the log of a run that continues after `steps_done` steps. Drops the lines of later
    /// steps, from before an interruption: those steps will be taken again.
    ///
    /// * `num_trained`: number of items that are trained on.
    pub(crate) fn open(
        run: &RunDir,
        steps_done: u32,
        config: &TrainConfig,
        num_trained: usize,
    ) -> Result<Self, TrainError> {
        let path = run.metrics();
        let file = reopen(&path, steps_done).map_err(TrainError::write(&path))?;
        Ok(Self {
            path,
            file,
            events: Events::open(&run.events(), steps_done)?,
            meter: Meter::new(config.batch_size),
            log_every: config.watch.log_every,
            steps_per_epoch: num_trained as f64 / config.batch_size as f64,
            opened: Instant::now(),
            last: None,
            held_out: None,
        })
    }

    /// Counts a step, and logs the means every `log_every` steps.
    pub(crate) fn step(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.meter.add(report);
        if (report.step + 1).is_multiple_of(self.log_every) {
            let reading = self.meter.read(report);
            self.last = Some(reading);
            let epoch = f64::from(reading.step) / self.steps_per_epoch;
            self.write(&Line { reading, epoch, seconds: self.opened.elapsed().as_secs_f64() })?;
            let Reading { step, loss, grad_norm, lr, items_per_s } = reading;
            let scalars = [
                ("train/loss", loss),
                ("train/grad_norm", grad_norm),
                ("train/lr", lr),
                ("train/epoch", epoch),
                ("train/items_per_s", items_per_s),
            ];
            self.events.scalars(step, &scalars)?;
        }
        Ok(())
    }

    /// Excludes time that was not spent on steps from the rates.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.meter.pause(time);
    }

    /// Logs the loss on the held-out items.
    pub(crate) fn held_out(&mut self, step: u32, loss: f64) -> Result<(), TrainError> {
        self.held_out = Some(loss);
        self.write(&HeldOutLine { step, held_out_loss: loss })?;
        self.events.scalars(step, &[("held_out/loss", loss)])
    }

    /// Logs the scores of samples.
    pub(crate) fn judged(&mut self, line: &EvalLine, scores: &[Score]) -> Result<(), TrainError> {
        self.write(line)?;
        let tags: Vec<String> = scores.iter().map(|score| format!("eval/{}", score.key)).collect();
        let values: Vec<(&str, f64)> =
            tags.iter().zip(scores).map(|(tag, score)| (tag.as_str(), score.value)).collect();
        self.events.scalars(line.step, &values)
    }

    /// Logs a picture of samples, for TensorBoard only.
    pub(crate) fn picture(&mut self, step: u32, png: &[u8]) -> Result<(), TrainError> {
        self.events.picture(step, "samples", png)
    }

    /// Returns the mean loss of the last line.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.last.map(|reading| reading.loss)
    }

    /// Returns the last loss on the held-out items.
    pub(crate) fn held_out_loss(&self) -> Option<f64> {
        self.held_out
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), TrainError> {
        let line = serde_json::to_string(line).map_err(io::Error::other);
        line.and_then(|line| append_whole(&mut self.file, format!("{line}\n").as_bytes()))
            .map_err(TrainError::write(&self.path))
    }
}

/// The part of a line that decides whether it is kept.
#[derive(Deserialize)]
struct Step {
    step: u32,
}

/// Opens the log for appending, with the lines up to `steps_done` only.
fn reopen(path: &Path, steps_done: u32) -> io::Result<File> {
    let mut kept = Vec::new();
    // There are no lines in a device or a FIFO, only waits without end.
    if path.is_file() {
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            // The last line may have been cut short.
            if serde_json::from_str::<Step>(&line).is_ok_and(|line| line.step <= steps_done) {
                kept.extend_from_slice(line.as_bytes());
                kept.push(b'\n');
            }
        }
    }
    // On a full disk the old log stays intact.
    write_whole(path, |out| out.write_all(&kept))?;
    File::options().append(true).open(path)
}
