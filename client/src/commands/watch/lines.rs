//! A run without a screen: a line for each step that all samples have reached.

use std::collections::BTreeSet;
use std::process::ExitCode;

use ddpm_client::{Client, Completed, Error, Event, Receipt};
use serde_json::json;

use super::history::History;
use super::{Watched, note};
use crate::commands::output;
use crate::stop;

/// Runs to the end and prints a line per step, or a JSON object.
pub(super) async fn run(client: &Client, watched: Watched, json: bool) -> Result<ExitCode, Error> {
    let mut lines = Lines::new(&watched, json);
    let mut generation = client.generate_resumable(watched.request);
    let signal = stop::signalled();
    tokio::pin!(signal);
    loop {
        let event = tokio::select! {
            biased;
            event = generation.next() => event?,
            code = &mut signal => return Ok(ExitCode::from(code)),
        };
        let Some(event) = event else {
            return Err(Error::Interrupted("it ended without `completed`".to_owned()));
        };
        if let Event::Interrupted(interruption) = &event {
            note!("{}; trying again", interruption.error);
        }
        let completed = match &event {
            Event::Completed(completed) => Some(*completed),
            _ => None,
        };
        output::print(&lines.take(event))?;
        if let Some(Completed { failed, unfinished, .. }) = completed {
            let whole = failed == 0 && unfinished == 0;
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

/// Events → lines.
#[derive(Debug)]
struct Lines {
    json: bool,
    watched: usize,
    kind: ddpm_client::PreviewKind,
    history: History,
    told: BTreeSet<u32>,
    /// Samples that will reach no further step.
    failed: usize,
    receipt: Option<Receipt>,
}

impl Lines {
    fn new(watched: &Watched, json: bool) -> Self {
        Self {
            json,
            watched: watched.indices.len(),
            kind: watched.kind,
            history: History::new(&watched.indices),
            told: BTreeSet::new(),
            failed: 0,
            receipt: None,
        }
    }

    /// Returns the lines that an event is worth.
    fn take(&mut self, event: Event) -> String {
        match event {
            Event::Accepted(accepted) => {
                let is_first = self.receipt.replace(accepted.receipt).is_none();
                let seed = self.seed();
                let told =
                    json!({"event": "accepted", "seed": seed, "evals": accepted.total_evals});
                let text = format!("seed {seed}, {} evals", accepted.total_evals);
                if is_first { self.line(&told, &text) } else { String::new() }
            }
            Event::Previews(previews) => {
                self.history.record(previews);
                self.steps()
            }
            Event::SampleError(error) => {
                self.failed += 1;
                let told = json!({"event": "failed", "sample": &error});
                self.line(&told, &format!("sample {} failed: {}", error.index, error.message))
            }
            Event::Completed(completed) => self.completed(&completed),
            Event::Progress(_) | Event::Samples(_) | Event::Interrupted(_) => String::new(),
        }
    }

    /// Returns a line for each step that all samples have newly reached.
    fn steps(&mut self) -> String {
        let mut lines = String::new();
        for step in self.history.steps() {
            let all = self.watched.saturating_sub(self.failed);
            let reached = || self.history.exactly_at(self.kind, step) >= all;
            if self.told.contains(&step) || !reached() {
                continue;
            }
            self.told.insert(step);
            let num_steps = self.history.num_steps();
            let noise_level = self.history.noise_level(step).unwrap_or(0.0);
            let told = json!({
                "event": "step", "step": step, "num_steps": num_steps, "noise_level": noise_level,
            });
            let text = format!("step {step} of {num_steps}, noise {noise_level:.3}");
            lines += &self.line(&told, &text);
        }
        lines
    }

    fn completed(&self, completed: &Completed) -> String {
        let told = json!({"event": "completed", "seed": self.seed(), "run": completed});
        let text = format!(
            "{} samples, {} failed, {} evals, seed {}",
            completed.samples,
            completed.failed,
            completed.evals,
            self.seed()
        );
        self.line(&told, &text)
    }

    fn seed(&self) -> u64 {
        self.receipt.as_ref().map_or(0, |receipt| receipt.seed)
    }

    fn line(&self, told: &serde_json::Value, text: &str) -> String {
        if self.json { format!("{told}\n") } else { format!("{text}\n") }
    }
}

#[cfg(test)]
mod tests {
    use ddpm_client::{
        Data, Indices, ModelKind, Preview, PreviewKind, Previews, Request, Sample, SampleError,
    };

    use super::*;
    use crate::testing::model;

    fn lines(json: bool) -> Lines {
        let watched = Watched {
            model: model(ModelKind::Image, &[1, 1, 1]),
            request: Request::new("m", Indices::first(2)),
            indices: vec![0, 1],
            samples: 2,
            kind: PreviewKind::X0,
        };
        Lines::new(&watched, json)
    }

    fn previews(kind: PreviewKind, step: u32, indices: &[u64]) -> Event {
        let look = |index: &u64| Sample {
            index: *index,
            shape: vec![1, 1, 1],
            data: Data::Pixels(vec![0]),
        };
        let samples = indices.iter().map(look).collect();
        let preview = Preview { kind, step, num_steps: 4, noise_level: 0.25, samples };
        Event::Previews(Previews { previews: vec![preview], skipped: 0 })
    }

    #[test]
    fn a_step_is_told_once_when_all_samples_have_reached_it() {
        let mut lines = lines(false);
        assert_eq!(lines.take(previews(PreviewKind::X0, 1, &[0])), "");
        assert_eq!(lines.take(previews(PreviewKind::Xt, 1, &[0, 1])), "", "another kind");
        assert_eq!(lines.take(previews(PreviewKind::X0, 2, &[0])), "");
        assert_eq!(lines.take(previews(PreviewKind::X0, 1, &[1])), "step 1 of 4, noise 0.250\n");
        assert_eq!(lines.take(previews(PreviewKind::X0, 1, &[0, 1])), "", "after an interruption");
        assert_eq!(lines.take(previews(PreviewKind::X0, 2, &[1])), "step 2 of 4, noise 0.250\n");
    }

    #[test]
    fn json_is_an_object_per_line() {
        let mut lines = lines(true);
        let error = SampleError { index: 1, reason: "NON_FINITE".into(), message: "NaN".into() };
        let text = lines.take(previews(PreviewKind::X0, 1, &[0, 1]))
            + &lines.take(Event::SampleError(error))
            + &lines.take(Event::Completed(Completed {
                samples: 1,
                failed: 1,
                ..Default::default()
            }));
        let objects: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&objects[0]["event"], &objects[0]["noise_level"]),
            (&json!("step"), &json!(0.25))
        );
        assert_eq!(objects[1]["sample"]["reason"], json!("NON_FINITE"));
        assert_eq!(objects[2]["run"]["failed"], json!(1));
        assert_eq!(objects.len(), 3);
    }
}
