//! The log of a run, for plots: a line of JSON every few steps.

use std::fs::File;
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
    let old = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened?),
    };
    if let Some(old) = old {
        for line in BufReader::new(old).lines() {
            let line = line?;
            // The last line may have been cut short.
            if serde_json::from_str::<Step>(&line).is_ok_and(|line| line.step <= steps_done) {
                kept.extend_from_slice(line.as_bytes());
                kept.push(b'\n');
            }
        }
    }
    // Beside it and renamed: on a full disk the old one stays whole.
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&kept)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::options().append(true).open(path)
}
