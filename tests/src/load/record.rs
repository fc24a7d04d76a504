//! What came of a request.

use std::time::Duration;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::load::mix::{Planned, Reader};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With `completed`, every sample there.
    Completed,
    /// The client left, as planned.
    Left,
    /// With a status before `accepted`.
    Refused {
        /// Its code.
        code: Code,
        /// The reason of its `ErrorInfo`; empty: none.
        reason: String,
    },
    /// With a status after `accepted`.
    Broken {
        /// Its code.
        code: Code,
        /// The reason of its `ErrorInfo`; empty: none.
        reason: String,
    },
    /// The server broke the contract; this is how.
    Wrong(String),
}

impl Outcome {
    /// Turns a status into an outcome.
    #[must_use]
    pub fn ended(status: &Status, accepted: bool) -> Self {
        let code = status.code();
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        match accepted {
            false => Self::Refused { code, reason },
            true => Self::Broken { code, reason },
        }
    }

    /// Returns a word to count outcomes by.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Completed => "completed".to_owned(),
            Self::Left => "left".to_owned(),
            Self::Refused { code, reason } => format!("refused {code:?} {reason}"),
            Self::Broken { code, reason } => format!("broken {code:?} {reason}"),
            Self::Wrong(what) => format!("wrong: {what}"),
        }
    }
}

/// One request from its planned moment to its end. Times count from the planned moment.
#[derive(Debug, Clone)]
pub struct Record {
    /// What was planned.
    pub planned: Planned,
    /// Until it was sent: how late the generator was.
    pub sent: Duration,
    /// Until the first event.
    pub first_event: Option<Duration>,
    /// Until the first finished sample.
    pub first_sample: Option<Duration>,
    /// Until the end.
    pub end: Duration,
    /// What a slow reader paused in all.
    pub paused: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Evals that the server last said it had done for it.
    pub evals: u64,
    /// What `accepted` said about the time to `completed`.
    pub eta: Option<Duration>,
    /// What the server said its refusal took, on its own clock.
    pub decided: Option<Duration>,
}

impl Record {
    /// Returns the time from the planned moment to the end without the reader's own pauses.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.end.saturating_sub(self.paused)
    }
}

/// Returns the share of requests that completed within their objective; NaN for none. Requests
/// whose clients left as planned do not count; refused and broken ones count as missed.
pub fn goodput(records: &[Record], objective: impl Fn(&Planned) -> Duration) -> f64 {
    let stays = |record: &&Record| !matches!(record.planned.reader, Reader::Leaves(_));
    let counted: Vec<&Record> = records.iter().filter(stays).collect();
    let good = counted.iter().filter(|record| {
        record.outcome == Outcome::Completed && record.latency() <= objective(&record.planned)
    });
    good.count() as f64 / counted.len() as f64
}

/// A record as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    samples: u32,
    steps: u32,
    guided: bool,
    sent: f64,
    first_event: Option<f64>,
    first_sample: Option<f64>,
    end: f64,
    outcome: &'a str,
}

impl Record {
    /// Writes the record as a line of JSON; times are seconds.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn json(&self) -> serde_json::Result<String> {
        let seconds = |time: Duration| time.as_secs_f64();
        serde_json::to_string(&Line {
            at: seconds(self.planned.at),
            samples: self.planned.shape.samples,
            steps: self.planned.shape.steps,
            guided: self.planned.shape.guided,
            sent: seconds(self.sent),
            first_event: self.first_event.map(seconds),
            first_sample: self.first_sample.map(seconds),
            end: seconds(self.end),
            outcome: &self.outcome.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::mix::Shape;

    fn record(reader: Reader, end: u64, outcome: Outcome) -> Record {
        let planned = Planned {
            at: Duration::ZERO,
            shape: Shape::glyphs(1, 1),
            reader,
            seed: 0,
            deadline: None,
        };
        Record {
            planned,
            sent: Duration::ZERO,
            first_event: None,
            first_sample: None,
            end: Duration::from_millis(end),
            paused: Duration::ZERO,
            outcome,
            evals: 0,
            eta: None,
            decided: None,
        }
    }

    #[test]
    fn goodput_counts_late_and_refused_requests_as_missed_and_leavers_not_at_all() {
        let refused = Outcome::Refused { code: Code::ResourceExhausted, reason: String::new() };
        let records = [
            record(Reader::Eager, 100, Outcome::Completed),
            record(Reader::Eager, 101, Outcome::Completed),
            record(Reader::Eager, 1, refused),
            record(Reader::Leaves(Duration::ZERO), 1, Outcome::Left),
            record(Reader::Eager, 50, Outcome::Completed),
        ];
        assert_eq!(goodput(&records, |_| Duration::from_millis(100)), 0.5);
    }
}
