//! The report of a run: how to reproduce its samples, what was written, what is missing, and its
//! cost.

use std::path::PathBuf;

use ddpm_client::{Completed, Error, Receipt, SampleError};
use serde::Serialize;

use crate::commands::output;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) receipt: Receipt,
    pub(crate) indices: String,
    /// The indices that neither came nor failed, as `--indices` takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
    /// Of the builds that made the first samples; the receipt is that of the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier_fingerprints: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) errors: Vec<SampleError>,
    /// `None` if an error ended the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completed: Option<Completed>,
    /// What ended the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether it ended because another build took the server's place.
    #[serde(skip)]
    pub(crate) is_other_build: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct File {
    pub(crate) kind: FileKind,
    /// The index of the sample, if the file holds only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
        let receipt = &self.receipt;
        let grid = receipt.grid.as_ref().map_or_else(String::new, |grid| format!(", {grid}"));
        let mut lines = vec![
            ("model", format!("{} {} ({})", receipt.model, receipt.version, receipt.model_digest)),
            ("seed", receipt.seed.to_string()),
            ("indices", self.indices.clone()),
            ("sampler", format!("{}, {} steps{grid}", receipt.sampler, receipt.num_steps)),
            ("program", receipt.program_digest.clone()),
            ("graph", receipt.graph.clone()),
            ("fingerprint", receipt.fingerprint.clone()),
        ];
        lines.extend(self.earlier_fingerprints.iter().map(|build| ("before", build.clone())));
        lines.extend(receipt.determinism.map(|promise| ("bits", promise.to_string())));
        if let Some(done) = &self.completed {
            lines.push(("samples", counts(done)));
            lines.push(("work", format!("{} ticks, {} evals", done.ticks, done.evals)));
            lines.push(("time", times(done)));
        }
        let failed = |error: &SampleError| format!("{}: {}", error.index, error.message);
        lines.extend(self.errors.iter().map(|error| ("failed", failed(error))));
        lines.extend(self.missing.iter().map(|missing| ("missing", missing.clone())));
        lines.extend(self.files.iter().map(|file| ("wrote", file.path.display().to_string())));
        output::pairs(&lines)
    }

    /// Returns the report of a run that `error` ended.
    pub(crate) fn ended_by(self, error: &Error) -> Self {
        Self { error: Some(error.to_string()), is_other_build: error.is_other_build(), ..self }
    }

    /// Says how to draw the samples that are missing.
    pub(crate) fn advice(&self) -> Option<String> {
        let missing = self.missing.as_ref()?;
        let seed = self.receipt.seed;
        let again = format!("to draw what is missing, add --seed {seed} --indices {missing}");
        Some(match self.is_other_build {
            false => again,
            true => format!(
                "another build of the server, or another machine, took over: its samples may \
                 differ in the last bits; {again}; to let such a run go on by itself, add \
                 --accept-build"
            ),
        })
    }
}

fn counts(done: &Completed) -> String {
    let unfinished = match done.unfinished {
        0 => String::new(),
        count => format!(", {count} cut off by the deadline"),
    };
    format!("{} done, {} failed{unfinished}", done.samples, done.failed)
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
