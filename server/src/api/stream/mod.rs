//! One request's events, from the engine's parcels to the wire.
//!
//! One task per stream takes what the engine put into the outbox, encodes it and
//! sends it. While a client reads slowly, its task waits, the outbox fills, and the
//! engine turns to other requests. Once a client has left, the task ends, and the
//! engine forgets the request before its next call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::info;

use super::generate::Checked;
use crate::admission::Counts;
use crate::error::Error;
use crate::outbox::{Account, Parcel, Reader};

mod encoding;

mod packing;

/// Events that may wait for the connection.
const EVENTS: usize = 4;

/// Shortest time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

type EventSender = mpsc::Sender<Result<v1::GenerateEvent, Status>>;

/// The client has left.
struct ClientLeft;

/// Sends the events of one request.
pub(crate) struct EventStream {
    events: EventSender,
    /// Number of the next event.
    sequence: u64,
    checked: Arc<Checked>,
    started: Instant,
    last_progress: Instant,
    encode_time: Duration,
    /// Samples answered with a `SampleError`.
    failed: u32,
}

impl EventStream {
    /// Starts the task of a stream, which opens with an `Accepted`.
    ///
    /// * `before`: the work admitted before this request.
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

    async fn run(&mut self, accepted: v1::Accepted, mut reader: Reader) -> Result<(), ClientLeft> {
        self.send(Event::Accepted(accepted)).await?;
        loop {
            let events = self.events.clone();
            let mut parcel = tokio::select! {
                parcel = reader.take() => parcel,
                () = events.closed() => return Err(ClientLeft),
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

    async fn send(&mut self, event: Event) -> Result<(), ClientLeft> {
        let message = v1::GenerateEvent { sequence: self.sequence, event: Some(event) };
        self.sequence += 1;
        self.events.send(Ok(message)).await.map_err(|_| ClientLeft)
    }

    async fn fail(&mut self, error: Error) -> Result<(), ClientLeft> {
        self.events.send(Err(error.into())).await.map_err(|_| ClientLeft)
    }

    async fn report_progress(&mut self, account: &Account) -> Result<(), ClientLeft> {
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

    /// Encodes a parcel and counts the samples that fail on the way.
    async fn encode(&mut self, parcel: Parcel) -> Vec<Event> {
        let checked = Arc::clone(&self.checked);
        let started = Instant::now();
        let encode = move |parcel| encoding::events(&checked, parcel);
        let events = encoding::on_blocking_thread(parcel, encode).await;
        self.encode_time += started.elapsed();
        let failed = events.iter().filter(|event| matches!(event, Event::SampleError(_)));
        self.failed += failed.count() as u32;
        events
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
            unfinished: 0,
        }
    }
}

fn accepted(checked: &Checked, before: &Counts) -> v1::Accepted {
    let evals = checked.request.evals();
    let seconds = before.seconds + evals as f64 * checked.seconds_per_eval;
    v1::Accepted {
        request_id: checked.request.request_id.clone(),
        receipt: Some(checked.receipt.clone()),
        evals_per_sample: checked.request.program.evals(),
        total_evals: evals,
        queue_position: before.samples,
        eta: Duration::try_from_secs_f64(seconds).ok().and_then(|eta| eta.try_into().ok()),
    }
}

#[cfg(test)]
mod tests;
