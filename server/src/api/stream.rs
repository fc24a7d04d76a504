//! One request's events, from the engine's parcels to the wire.
//!
//! A task a stream: it takes what the engine put into the outbox, encodes it and
//! sends it. When the client reads slowly, the task waits, the outbox fills, and
//! the engine turns to other requests. When the client leaves, the task ends, and
//! the engine forgets the request before its next call.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ddpm_proto::v1::{self, generate_event::Event};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};
use tracing::{error, info};

use super::{generate::Checked, wire};
use crate::{
    admission::Counts,
    error::Error,
    frames::Encoder,
    outbox::{Account, Finished, Frame, Parcel, Reader},
};

/// Events that may wait for the connection.
const EVENTS: usize = 4;

/// Data of one event.
const EVENT_BYTES: usize = 1 << 20;

/// What a small sample costs on the wire beside its data: digest, index, length.
const SAMPLE_OVERHEAD: usize = 64;

/// Least time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

type EventSender = mpsc::Sender<Result<v1::GenerateEvent, Status>>;

/// The client has left.
struct Gone;

/// Sends the events of one request.
pub(crate) struct EventStream {
    events: EventSender,
    sequence: u64,
    checked: Arc<Checked>,
    started: Instant,
    last_progress: Instant,
    encode_time: Duration,
    failed: u32,
}

impl EventStream {
    /// Starts the task of a stream, which opens with `accepted`.
    pub(crate) fn start(
        tasks: &TaskTracker,
        checked: Checked,
        before: &Counts,
        reader: Reader,
    ) -> ReceiverStream<Result<v1::GenerateEvent, Status>> {
        let (events, receiver) = mpsc::channel(EVENTS);
        let now = Instant::now();
        let accepted = accepted(&checked, before);
        let mut stream = Self {
            events,
            sequence: 0,
            checked: Arc::new(checked),
            started: now,
            last_progress: now,
            encode_time: Duration::ZERO,
            failed: 0,
        };
        tasks.spawn(async move {
            let ended = stream.run(accepted, reader).await;
            let checked = &stream.checked;
            let outcome = if ended.is_ok() { "answered" } else { "client left" };
            info!(
                request_id = checked.request.request_id,
                model = checked.receipt.model,
                seconds = stream.started.elapsed().as_secs_f64(),
                "{outcome}"
            );
        });
        ReceiverStream::new(receiver)
    }

    async fn run(&mut self, accepted: v1::Accepted, mut reader: Reader) -> Result<(), Gone> {
        self.send(Event::Accepted(accepted)).await?;
        loop {
            let events = self.events.clone();
            let mut parcel = tokio::select! {
                parcel = reader.take() => parcel,
                () = events.closed() => return Err(Gone),
            };
            let (account, end) = (parcel.account, parcel.end.take());
            for event in self.encode(parcel).await {
                self.send(event).await?;
            }
            match end {
                None => self.report_progress(&account).await?,
                Some(Ok(())) => return self.send(Event::Completed(self.completed(&account))).await,
                Some(Err(error)) => return self.fail(error).await,
            }
        }
    }

    async fn send(&mut self, event: Event) -> Result<(), Gone> {
        let message = v1::GenerateEvent { sequence: self.sequence, event: Some(event) };
        self.sequence += 1;
        self.events.send(Ok(message)).await.map_err(|_| Gone)
    }

    async fn fail(&mut self, error: Error) -> Result<(), Gone> {
        self.events.send(Err(error.into())).await.map_err(|_| Gone)
    }

    async fn report_progress(&mut self, account: &Account) -> Result<(), Gone> {
        if self.last_progress.elapsed() < PROGRESS_PAUSE {
            return Ok(());
        }
        self.last_progress = Instant::now();
        let total = self.checked.request.indices.len();
        let evals = self.checked.request.evals();
        let left = (account.evals > 0).then(|| {
            let rate = account.evals as f64 / self.started.elapsed().as_secs_f64();
            Duration::from_secs_f64((evals - account.evals) as f64 / rate)
        });
        let progress = v1::Progress {
            samples_waiting: (total - account.samples_begun) as u32,
            samples_running: (account.samples_begun - account.samples_done) as u32,
            samples_done: account.samples_done as u32,
            evals_done: account.evals,
            eta: left.and_then(|left| left.try_into().ok()),
        };
        self.send(Event::Progress(progress)).await
    }

    /// Encodes a parcel off the threads that serve connections.
    async fn encode(&mut self, parcel: Parcel) -> Vec<Event> {
        let checked = Arc::clone(&self.checked);
        let started = Instant::now();
        let failed = parcel.finished.iter().filter(|sample| sample.values.is_none()).count();
        self.failed += failed as u32;
        let encoded = tokio::task::spawn_blocking(move || encode(&checked, parcel)).await;
        self.encode_time += started.elapsed();
        encoded.unwrap_or_else(|error| {
            error!(%error, "samples could not be encoded");
            Vec::new()
        })
    }

    fn completed(&self, account: &Account) -> v1::Completed {
        let duration = |time: Duration| time.try_into().ok();
        v1::Completed {
            samples: account.samples_done as u32 - self.failed,
            failed: self.failed,
            ticks: account.ticks,
            evals: account.evals,
            first_tick: account.first_tick,
            last_tick: account.last_tick,
            queue_time: duration(account.queue_time),
            compute_time: duration(account.compute_time),
            encode_time: duration(self.encode_time),
            blocked_time: duration(account.blocked_time),
        }
    }
}

fn accepted(checked: &Checked, before: &Counts) -> v1::Accepted {
    let evals = checked.request.evals();
    let seconds = before.seconds + evals as f64 * checked.seconds_an_eval;
    v1::Accepted {
        request_id: checked.request.request_id.clone(),
        receipt: Some(checked.receipt.clone()),
        evals_per_sample: checked.request.program.evals(),
        total_evals: evals,
        queue_position: before.samples,
        eta: Duration::try_from_secs_f64(seconds).ok().and_then(|eta| eta.try_into().ok()),
    }
}

/// Everything of a parcel as events, none above the limit unless one preview is.
fn encode(checked: &Checked, parcel: Parcel) -> Vec<Event> {
    let mut events = previews(&checked.preview_encoder, parcel.frames, parcel.skipped);
    events.extend(samples(checked, parcel.finished));
    events
}

/// Frames of one step and kind are packed; packs are in the order of steps.
fn previews(encoder: &Encoder, frames: Vec<Frame>, mut skipped: u32) -> Vec<Event> {
    let mut groups: BTreeMap<_, Vec<Frame>> = BTreeMap::new();
    for frame in frames {
        groups.entry((frame.step, frame.kind)).or_default().push(frame);
    }
    let mut events = Vec::new();
    let (mut previews, mut bytes) = (Vec::new(), 0);
    let mut flush = |previews: &mut Vec<v1::Preview>, bytes: &mut usize| {
        if !previews.is_empty() {
            let previews = std::mem::take(previews);
            let skipped = std::mem::take(&mut skipped);
            events.push(Event::Previews(v1::Previews { previews, skipped }));
            *bytes = 0;
        }
    };
    for ((step, kind), frames) in groups {
        let Some(first) = frames.first() else { continue };
        let (num_steps, noise_level) = (first.num_steps, first.noise_level);
        let encoded =
            frames.iter().filter_map(|frame| encoded(encoder, frame.index, &frame.values));
        for packed in pack(encoder, encoded) {
            if bytes > 0 && bytes + packed.data.len() > EVENT_BYTES {
                flush(&mut previews, &mut bytes);
            }
            bytes += packed.data.len();
            let kind = wire::preview_kind(kind).into();
            let packed = Some(packed);
            previews.push(v1::Preview { kind, step, num_steps, noise_level, packed });
        }
    }
    flush(&mut previews, &mut bytes);
    events
}

/// Finished samples, packed; the ones that failed, each on its own.
fn samples(checked: &Checked, finished: Vec<Finished>) -> Vec<Event> {
    let (mut events, mut small) = (Vec::new(), Vec::new());
    for sample in finished {
        let index = sample.index;
        let encoded = sample.values.and_then(|values| encoded(&checked.encoder, index, &values));
        match encoded {
            None => events.push(Event::SampleError(not_finite(index))),
            Some((_, bytes)) if bytes.len() > EVENT_BYTES => {
                events.extend(split(checked, index, &bytes));
            }
            Some(sample) => small.push(sample),
        }
    }
    for packed in pack(&checked.encoder, small.into_iter()) {
        let sha256 = digests(&packed);
        let receipt = Some(checked.receipt.clone());
        let packed = Some(packed);
        events.push(Event::Samples(v1::Samples { receipt, packed, sha256, ..Default::default() }));
    }
    events
}

/// A sample that is larger than an event.
fn split(checked: &Checked, index: u64, bytes: &[u8]) -> Vec<Event> {
    let sha256 = vec![Sha256::digest(bytes).to_vec().into()];
    let parts = bytes.chunks(EVENT_BYTES).enumerate();
    parts
        .map(|(number, part)| {
            let mut packed = empty(&checked.encoder);
            packed.indices.push(index);
            packed.data = part.to_vec().into();
            Event::Samples(v1::Samples {
                receipt: Some(checked.receipt.clone()),
                packed: Some(packed),
                sha256: sha256.clone(),
                offset: (number * EVENT_BYTES) as u64,
                total_bytes: bytes.len() as u64,
            })
        })
        .collect()
}

fn encoded(encoder: &Encoder, index: u64, values: &[f32]) -> Option<(u64, Vec<u8>)> {
    match encoder.encode(values) {
        Ok(bytes) => Some((index, bytes)),
        Err(error) => {
            error!(%error, index, "a sample could not be encoded");
            None
        }
    }
}

/// Packs encoded samples, each pack at most [`EVENT_BYTES`] unless one sample is
/// larger.
fn pack(encoder: &Encoder, encoded: impl Iterator<Item = (u64, Vec<u8>)>) -> Vec<v1::Packed> {
    let mut packs = Vec::new();
    let (mut indices, mut data, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    let mut flush = |indices: &mut Vec<u64>, data: &mut Vec<u8>, lengths: &mut Vec<u32>| {
        if indices.is_empty() {
            return;
        }
        let equal = lengths.windows(2).all(|pair| pair[0] == pair[1]);
        let lengths = std::mem::take(lengths);
        packs.push(v1::Packed {
            indices: std::mem::take(indices),
            data: std::mem::take(data).into(),
            lengths: if equal { Vec::new() } else { lengths },
            ..empty(encoder)
        });
    };
    for (index, bytes) in encoded {
        if data.len() + bytes.len() + indices.len() * SAMPLE_OVERHEAD > EVENT_BYTES {
            flush(&mut indices, &mut data, &mut lengths);
        }
        indices.push(index);
        lengths.push(bytes.len() as u32);
        data.extend(bytes);
    }
    flush(&mut indices, &mut data, &mut lengths);
    packs
}

fn empty(encoder: &Encoder) -> v1::Packed {
    let format = wire::format(encoder.encoding()).into();
    v1::Packed { format, shape: encoder.shape(), ..Default::default() }
}

fn digests(packed: &v1::Packed) -> Vec<prost::bytes::Bytes> {
    let equal = packed.data.len() / packed.indices.len();
    let mut rest = &packed.data[..];
    let lengths =
        (0..packed.indices.len()).map(|i| packed.lengths.get(i).map_or(equal, |n| *n as usize));
    lengths
        .map(|length| {
            let (sample, tail) = rest.split_at(length);
            rest = tail;
            Sha256::digest(sample).to_vec().into()
        })
        .collect()
}

fn not_finite(index: u64) -> v1::SampleError {
    v1::SampleError {
        index,
        code: Code::Internal as i32,
        reason: "NON_FINITE".into(),
        message: "the network's output is not a number for this sample".into(),
    }
}
