//! The events of a run, and how each is read from the wire.

use std::time::Duration;

use ddpm_proto::v1;
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::indices::Indices;
use crate::receipt::Receipt;
use crate::settings::PreviewKind;

/// One event of a run.
#[derive(Debug)]
pub enum Event {
    /// Always first; again after an interruption.
    Accepted(Box<Accepted>),
    /// From time to time.
    Progress(Progress),
    /// If the request watches samples.
    Previews(Previews),
    /// Whole samples, each checked against its digest.
    Samples(Vec<Sample>),
    /// A sample that failed; the others continue.
    SampleError(SampleError),
    /// The stream broke and the missing samples will be requested again. Only
    /// from [`Client::generate_resumable`](crate::Client::generate_resumable).
    Interrupted(Interruption),
    /// Always last.
    Completed(Completed),
}

/// The request was valid and is queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// What it takes to reproduce the samples, seed included.
    pub receipt: Receipt,
    /// Network evaluations per sample.
    pub evals_per_sample: u64,
    /// Network evaluations of the whole run.
    pub total_evals: u64,
    /// Samples of other requests that are ahead of these.
    pub queue_position: u64,
    /// Expected remaining time of the run; `None` before the first measurement.
    pub eta: Option<Duration>,
}

impl Accepted {
    pub(crate) fn from_proto(accepted: v1::Accepted) -> Result<Self, Error> {
        Ok(Self {
            receipt: Receipt::from_proto(accepted.receipt)?,
            evals_per_sample: accepted.evals_per_sample,
            total_evals: accepted.total_evals,
            queue_position: accepted.queue_position,
            eta: accepted.eta.map(duration).transpose()?,
        })
    }
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Samples that have not had their first step.
    pub samples_waiting: u32,
    /// Samples in flight.
    pub samples_running: u32,
    /// Samples finished.
    pub samples_done: u32,
    /// Network evaluations done.
    pub evals_done: u64,
    /// Expected remaining time; `None` before the first measurement.
    pub eta: Option<Duration>,
}

impl Progress {
    pub(crate) fn from_proto(progress: &v1::Progress) -> Result<Self, Error> {
        Ok(Self {
            samples_waiting: progress.samples_waiting,
            samples_running: progress.samples_running,
            samples_done: progress.samples_done,
            evals_done: progress.evals_done,
            eta: progress.eta.map(duration).transpose()?,
        })
    }
}

/// Samples while they form.
#[derive(Debug, Clone, PartialEq)]
pub struct Previews {
    /// In the order of arrival.
    pub previews: Vec<Preview>,
    /// Previews dropped since the last such event because newer ones replaced them.
    pub skipped: u32,
}

/// Samples at the same step, shown the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// What is shown.
    pub kind: PreviewKind,
    /// Steps done, from 1 to `num_steps`.
    pub step: u32,
    /// Steps of the whole run.
    pub num_steps: u32,
    /// sqrt(1 - alphas_cumprod): 1 is pure noise, 0 is data.
    pub noise_level: f64,
    /// The pictures or points.
    pub samples: Vec<Sample>,
}

/// One sample, finished or forming.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its index.
    pub index: u64,
    /// In the layout of `data`: height, width, channels for pixels and PNG;
    /// channels, height, width for values; 2 for points.
    pub shape: Vec<u32>,
    /// Its elements.
    pub data: Data,
}

/// The elements of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// One byte per element, height x width x channels.
    Pixels(Vec<u8>),
    /// In the model's scale and layout, not clipped.
    Values(Vec<f32>),
    /// A PNG file.
    Png(Vec<u8>),
}

/// The failure of one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleError {
    /// The index of the sample.
    pub index: u64,
    /// Stable, UPPER_SNAKE.
    pub reason: String,
    /// A message for people.
    pub message: String,
}

impl From<v1::SampleError> for SampleError {
    fn from(error: v1::SampleError) -> Self {
        Self { index: error.index, reason: error.reason, message: error.message }
    }
}

/// A stream broke; its missing samples will be requested again.
#[derive(Debug)]
pub struct Interruption {
    /// Why it broke.
    pub error: Error,
    /// The indices to request again.
    pub missing: Indices,
    /// The pause before that.
    pub pause: Duration,
}

/// The end of a run, and its cost.
///
/// For a run of several requests this is their sum. A broken stream reports no cost,
/// so only its samples are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Completed {
    /// Samples received.
    pub samples: u32,
    /// Samples that failed.
    pub failed: u32,
    /// Samples that the deadline cut off: see
    /// [`OnDeadline::ReturnFinished`](crate::OnDeadline::ReturnFinished).
    pub unfinished: u32,
    /// Calls of the network that advanced a sample of this request.
    pub ticks: u64,
    /// Network evaluations spent on this request.
    pub evals: u64,
    /// The engine's number for the first of these calls.
    pub first_tick: u64,
    /// The engine's number for the last of them.
    pub last_tick: u64,
    /// From acceptance to the first call.
    #[serde(rename = "queue_seconds", serialize_with = "seconds")]
    pub queue_time: Duration,
    /// Time in calls of the network; shared calls count in full.
    #[serde(rename = "compute_seconds", serialize_with = "seconds")]
    pub compute_time: Duration,
    /// Time spent encoding samples and previews.
    #[serde(rename = "encode_seconds", serialize_with = "seconds")]
    pub encode_time: Duration,
    /// Time that samples waited for the reader of the stream.
    #[serde(rename = "blocked_seconds", serialize_with = "seconds")]
    pub blocked_time: Duration,
}

impl Completed {
    /// Adds a later request of the same run.
    pub(crate) fn add(&mut self, later: Self) {
        self.samples += later.samples;
        self.failed += later.failed;
        self.unfinished += later.unfinished;
        if self.ticks == 0 {
            self.first_tick = later.first_tick;
        }
        if later.ticks > 0 {
            self.last_tick = later.last_tick;
        }
        self.ticks += later.ticks;
        self.evals += later.evals;
        self.queue_time += later.queue_time;
        self.compute_time += later.compute_time;
        self.encode_time += later.encode_time;
        self.blocked_time += later.blocked_time;
    }

    pub(crate) fn from_proto(completed: &v1::Completed) -> Result<Self, Error> {
        let time = |field: Option<prost_types::Duration>| duration(field.unwrap_or_default());
        Ok(Self {
            samples: completed.samples,
            failed: completed.failed,
            unfinished: completed.unfinished,
            ticks: completed.ticks,
            evals: completed.evals,
            first_tick: completed.first_tick,
            last_tick: completed.last_tick,
            queue_time: time(completed.queue_time)?,
            compute_time: time(completed.compute_time)?,
            encode_time: time(completed.encode_time)?,
            blocked_time: time(completed.blocked_time)?,
        })
    }
}

pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

pub(crate) fn optional_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// Multiplies `time`; what is too long becomes the longest time.
pub(crate) fn scaled(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

pub(crate) fn duration(wire: prost_types::Duration) -> Result<Duration, Error> {
    Duration::try_from(wire)
        .map_err(|_| Error::Protocol(format!("a time is negative: {} s", wire.seconds)))
}
