//! One request's events, from the engine's parcels to the wire.
//!
//! One task per stream takes what the engine put into the outbox, encodes it and
//! sends it. While a client reads slowly, its task waits, the outbox fills, and the
//! engine turns to other requests. If no whole event could be handed to the connection for
//! the stall time, the stream ends, and what it held is free. Once a client has left, the
//! task ends, and the engine forgets the request before its next call.

use std::sync::Arc;
use std::time::Duration;

use ddpm_proto::v1::generate_event::Event;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::generate::Checked;
use crate::admission::{Forecast, Unread};
use crate::error::Error;
use crate::outbox::{Account, Parcel, Reader};

mod encoding;

mod events;
pub(crate) use events::Events;
use events::{ClientLeft, EventSender};

mod packing;

mod script;
pub(crate) use script::Script;

/// Shortest time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Longest time between two looks for progress while there is none.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Longest time without an event: browsers and proxies end streams that say nothing for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream may go on once the server stops.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long streams may take.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// Without handing a whole event to the connection.
    pub(crate) stall: Duration,
    /// Cancelled when the server stops: then streams end soon, whoever reads them.
    pub(crate) stop: CancellationToken,
}

/// Why a stream ends before its last event.
enum Ending {
    ClientLeft,
    Failed(Error),
}

impl From<ClientLeft> for Ending {
    fn from(_: ClientLeft) -> Self {
        Self::ClientLeft
    }
}

/// Sends the events of one request.
pub(crate) struct EventStream {
    events: EventSender,
    patience: Patience,
    script: Script,
    started: Instant,
    last_progress: Instant,
    last_event: Instant,
    /// How far the request was at last.
    account: Account,
}

impl EventStream {
    /// Starts the task of a stream, which opens with an `Accepted`.
    pub(crate) fn start(
        tasks: &TaskTracker,
        patience: Patience,
        checked: Checked,
        forecast: &Forecast,
        reader: Reader,
    ) -> Events {
        let (events, receiver) = events::channel();
        let now = Instant::now();
        let script = Script::new(checked);
        let accepted = script.accepted(forecast);
        let mut stream = Self {
            events,
            patience,
            script,
            started: now,
            last_progress: now,
            last_event: now,
            account: Account::default(),
        };
        tasks.spawn(async move {
            let ending = stream.run(accepted, reader).await;
            stream.end(ending.err());
        });
        receiver
    }

    async fn run(&mut self, accepted: Event, mut reader: Reader) -> Result<(), Ending> {
        self.send(accepted, None).await?;
        loop {
            let mut parcel = self.next(&mut reader).await?;
            self.account = parcel.account;
            let end = parcel.end.take();
            self.send_parcel(parcel).await?;
            match end {
                None => self.report_progress().await?,
                Some(Ok(())) => {
                    let completed = self.script.completed(&self.account);
                    return self.send(completed, None).await;
                }
                Some(Err(error)) => return Err(Ending::Failed(error)),
            }
        }
    }

    /// Waits for the next parcel, and says now and then that the stream lives.
    async fn next(&mut self, reader: &mut Reader) -> Result<Parcel, Ending> {
        // Progress alone wakes nobody, so it is looked for: less often while there is none.
        let mut pause = PROGRESS_PAUSE;
        let mut look = self.last_progress + pause;
        loop {
            tokio::select! {
                biased;
                () = self.events.closed() => return Err(Ending::ClientLeft),
                parcel = reader.take() => return Ok(parcel),
                () = sleep_until(look) => {}
            }
            if let Some(parcel) = reader.try_take() {
                return Ok(parcel);
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
            look = Instant::now() + pause;
            if self.last_event.elapsed() >= HEARTBEAT {
                self.report_progress().await?;
            }
        }
    }

    /// Sends the contents of a parcel. Its bytes count until the last of its events has left.
    async fn send_parcel(&mut self, mut parcel: Parcel) -> Result<(), Ending> {
        let mut unread = parcel.unread.take();
        let events = self.encode(parcel).await;
        let count = events.len();
        for (position, event) in events.into_iter().enumerate() {
            let unread = unread.take_if(|_| position + 1 == count);
            self.send(event, unread).await?;
        }
        Ok(())
    }

    /// Hands an event to the connection.
    async fn send(&mut self, event: Event, unread: Option<Unread>) -> Result<(), Ending> {
        let message = self.script.number(event);
        let Patience { stall, stop } = &self.patience;
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            sent = timeout(*stall, self.events.send(message, unread)) => match sent {
                Ok(sent) => {
                    self.last_event = Instant::now();
                    Ok(sent?)
                }
                Err(_) => Err(Ending::Failed(Error::ClientStalled { stall: *stall })),
            },
            () = stopped => Err(Ending::Failed(Error::Stopped)),
        }
    }

    /// Ends the stream: with OK, unless there is another ending.
    fn end(self, ending: Option<Ending>) {
        let outcome = match &ending {
            None => "answered".to_owned(),
            Some(Ending::ClientLeft) => "client left".to_owned(),
            Some(Ending::Failed(error)) => error.to_string(),
        };
        info!(
            request_id = self.script.checked.request.request_id,
            model = self.script.checked.receipt.model,
            graph = self.script.checked.receipt.graph,
            seconds = self.started.elapsed().as_secs_f64(),
            "{outcome}"
        );
        if let Some(Ending::Failed(error)) = ending {
            self.events.fail(error.into());
        }
    }

    async fn report_progress(&mut self) -> Result<(), Ending> {
        if self.last_progress.elapsed() < PROGRESS_PAUSE {
            return Ok(());
        }
        self.last_progress = Instant::now();
        self.send(self.script.progress(&self.account), None).await
    }

    /// Encodes a parcel and counts the samples that fail on the way.
    async fn encode(&mut self, parcel: Parcel) -> Vec<Event> {
        let checked = Arc::clone(&self.script.checked);
        let started = Instant::now();
        let encode = move |parcel| encoding::events(&checked, parcel);
        let events = encoding::on_blocking_thread(parcel, encode).await;
        self.script.count(&events, started.elapsed());
        events
    }
}

/// Encodes a parcel at once.
#[cfg(test)]
pub(crate) fn events_of(script: &Script, parcel: Parcel) -> Vec<Event> {
    encoding::events(&script.checked, parcel)
}

#[cfg(test)]
mod tests;
