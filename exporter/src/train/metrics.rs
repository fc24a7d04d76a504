//! The log of a run, for plots: a line of JSON every few steps.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Meter, Reading, RunDir, StepReport, TrainError};

/// Steps between lines.
const EVERY: u32 = 50;

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    meter: Meter,
    last: Option<Reading>,
}

impl Metrics {
    /// The log of a run that goes on after `steps_done` steps. Lines of later steps, from before an
    /// interruption, are dropped: those steps will be taken again.
    pub(super) fn open(
        run: &RunDir,
        steps_done: u32,
        batch_size: usize,
    ) -> Result<Self, TrainError> {
        let path = run.metrics();
        let file = reopen(&path, steps_done).map_err(TrainError::write(&path))?;
        Ok(Self { path, file, meter: Meter::new(batch_size), last: None })
    }

    /// Counts a step.
    pub(super) fn step(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.meter.add(report);
        if (report.step + 1).is_multiple_of(EVERY) {
            let reading = self.meter.take(report);
            self.last = Some(reading);
            let line = serde_json::to_string(&reading).map_err(io::Error::other);
            line.and_then(|line| writeln!(self.file, "{line}"))
                .map_err(TrainError::write(&self.path))?;
        }
        Ok(())
    }

    /// The mean loss of the last line.
    pub(super) fn loss(&self) -> Option<f64> {
        self.last.map(|reading| reading.loss)
    }
}

/// What a line must have to be kept.
#[derive(Deserialize)]
struct Step {
    step: u32,
}

fn reopen(path: &Path, steps_done: u32) -> io::Result<File> {
    let mut kept = Vec::new();
    if let Ok(old) = File::open(path) {
        for line in BufReader::new(old).lines() {
            let line = line?;
            // The last line may have been cut short.
            if serde_json::from_str::<Step>(&line).is_ok_and(|line| line.step <= steps_done) {
                kept.extend_from_slice(line.as_bytes());
                kept.push(b'\n');
            }
        }
    }
    fs::write(path, kept)?;
    File::options().append(true).open(path)
}
