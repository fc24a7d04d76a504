//! The report of a run: how to reproduce its samples, what was written, and its cost.

use std::path::PathBuf;

use ddpm_client::{Completed, Receipt, SampleError};
use serde::Serialize;

use crate::commands::output;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) receipt: Receipt,
    pub(crate) indices: String,
    pub(crate) files: Vec<File>,
    pub(crate) errors: Vec<SampleError>,
    pub(crate) completed: Completed,
}

#[derive(Debug, Serialize)]
pub(crate) struct File {
    pub(crate) kind: FileKind,
    /// The index of the sample, if the file holds only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileKind {
    Sample,
    Array,
    Grid,
    Gif,
    Apng,
    Strip,
}

impl File {
    pub(crate) fn of_all_samples(kind: FileKind, path: PathBuf) -> Self {
        Self { kind, index: None, path }
    }
}

impl Report {
    pub(crate) fn to_lines(&self) -> String {
        let (receipt, done) = (&self.receipt, &self.completed);
        let grid = receipt.grid.as_ref().map_or_else(String::new, |grid| format!(", {grid}"));
        let mut lines = vec![
            ("model", format!("{} {} ({})", receipt.model, receipt.version, receipt.model_digest)),
            ("seed", receipt.seed.to_string()),
            ("indices", self.indices.clone()),
            ("sampler", format!("{}, {} steps{grid}", receipt.sampler, receipt.num_steps)),
            ("program", receipt.program_digest.clone()),
            ("fingerprint", receipt.fingerprint.clone()),
            ("samples", format!("{} done, {} failed", done.samples, done.failed)),
            ("work", format!("{} ticks, {} evals", done.ticks, done.evals)),
            ("time", times(done)),
        ];
        let failed = |error: &SampleError| format!("{}: {}", error.index, error.message);
        lines.extend(self.errors.iter().map(|error| ("failed", failed(error))));
        lines.extend(self.files.iter().map(|file| ("wrote", file.path.display().to_string())));
        output::pairs(&lines)
    }
}

fn times(done: &Completed) -> String {
    format!(
        "{:.2} s queued, {:.2} s computing, {:.2} s encoding, {:.2} s blocked",
        done.queue_time.as_secs_f64(),
        done.compute_time.as_secs_f64(),
        done.encode_time.as_secs_f64(),
        done.blocked_time.as_secs_f64()
    )
}
