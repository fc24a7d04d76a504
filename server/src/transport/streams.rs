//! The task of each stream, which ends when its reader takes nothing.
//!
//! hyper hands an answer on in pieces, and asks for the next when the connection has taken the
//! last: a peer that gives no window, or a byte of it per second, keeps a piece waiting. Ending
//! the task then resets the stream and frees what it held. Event streams end by themselves a
//! little earlier, with a status; this is for those whose status is not read either.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use super::Shared;
use super::seldom::Seldom;

/// Whether a piece of a stream's answer waits for the peer.
#[derive(Debug, Default)]
pub(super) struct Reading(Mutex<Option<Instant>>);

impl Reading {
    /// Notes that a piece waits, or that none does.
    pub(super) fn set_waiting(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Completes when one piece has waited for this long.
    async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = since.unwrap_or(now) + limit;
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// Counts the streams that are reset, for the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Resets(Arc<Mutex<Seldom>>);

impl Resets {
    fn happened(&self, stall: Duration) {
        let seconds = stall.as_secs_f64();
        debug!(seconds, "a stream was not read: reset");
        let mut seldom = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = seldom.happened(Instant::now()) {
            info!(seconds, times, "streams were not read: reset");
        }
    }
}

/// The answer that a connection of HTTP/1.1 writes.
#[derive(Debug, Default)]
struct Http1Answer {
    reading: Mutex<Option<Arc<Reading>>>,
    /// Notified when the next one begins.
    begun: Notify,
}

/// Runs the streams of one connection.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    /// The stream that hyper is about to run: it runs each right after it called the service.
    next: Arc<Mutex<Option<Arc<Reading>>>>,
    /// The answer over HTTP/1.1, which has no task: the connection writes one after the other.
    http1: Arc<Http1Answer>,
    /// How long a piece of an answer may wait for the peer.
    stall: Duration,
    resets: Resets,
    /// Who waits for the end of all.
    tasks: TaskTracker,
    /// Ends all at once.
    abort: CancellationToken,
}

impl Streams {
    /// The streams of a connection of a transport.
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            next: Arc::default(),
            http1: Arc::default(),
            stall: shared.bounds.stall,
            resets: shared.resets.clone(),
            tasks: shared.tasks.clone(),
            abort: shared.abort.clone(),
        }
    }

    /// Begins a stream; called by the service.
    ///
    /// * `http1`: whether the connection itself writes the answer, rather than a task that hyper is
    ///   about to run.
    pub(super) fn begin(&self, http1: bool) -> Arc<Reading> {
        let reading = Arc::new(Reading::default());
        let place = if http1 { &self.http1.reading } else { &self.next };
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&reading));
        if http1 {
            self.http1.begun.notify_one();
        }
        reading
    }

    /// Completes when a piece of the answer over HTTP/1.1 has waited for too long.
    pub(super) async fn http1_stalled(&self) {
        loop {
            let reading = self.http1.reading.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let stalled = async {
                match reading {
                    Some(reading) => reading.stalled(self.stall).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = stalled => {
                    self.resets.happened(self.stall);
                    return;
                }
                () = self.http1.begun.notified() => {}
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let reading = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Self { stall, resets, abort, .. } = self.clone();
        self.tasks.spawn(async move {
            let stalled = async {
                match reading {
                    Some(reading) => reading.stalled(stall).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = stream => {}
                () = stalled => resets.happened(stall),
                () = abort.cancelled() => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn streams() -> Streams {
        Streams {
            next: Arc::default(),
            http1: Arc::default(),
            stall: LIMIT,
            resets: Resets::default(),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_stalls_when_one_piece_waits_for_too_long() {
        let (start, reading) = (Instant::now(), Reading::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        tokio::join!(
            async {
                reading.stalled(LIMIT).await;
                assert_eq!(start.elapsed().as_secs(), 75);
            },
            async {
                // Four pieces; the last is never taken.
                for (handed, taken) in [(0, 29), (29, 31), (44, 45), (45, 1000)] {
                    sleep_until(at(handed)).await;
                    reading.set_waiting(Some(at(handed)));
                    sleep_until(at(taken)).await;
                    reading.set_waiting(None);
                }
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_nothing_to_read_never_stalls() {
        let reading = Reading::default();
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, reading.stalled(LIMIT)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_stalled_stream_holds_is_freed() {
        let streams = streams();
        let reading = streams.begin(false);
        let (held, freed) = tokio::sync::oneshot::channel::<()>();
        streams.execute(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        reading.set_waiting(Some(Instant::now()));
        let start = Instant::now();
        assert!(freed.await.is_err());
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_over_http_1_stalls_when_its_own_piece_waits_for_too_long() {
        let streams = streams();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        tokio::join!(
            async {
                streams.http1_stalled().await;
                assert_eq!(start.elapsed().as_secs(), 80);
            },
            async {
                sleep_until(at(5)).await;
                streams.begin(true).set_waiting(Some(at(5)));
                // The next answer begins in time; what the first waited for does not count.
                sleep_until(at(30)).await;
                let second = streams.begin(true);
                sleep_until(at(50)).await;
                second.set_waiting(Some(at(50)));
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_the_server_waits_for_its_streams_or_ends_them() {
        let streams = streams();
        streams.begin(false);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        streams.execute(async move { assert!(ended.await.is_ok()) });
        streams.tasks.close();
        let soon = |wait| tokio::time::timeout(LIMIT, wait);
        assert!(soon(streams.tasks.wait()).await.is_err(), "one runs");
        end.send(()).unwrap();
        assert!(soon(streams.tasks.wait()).await.is_ok());
        streams.execute(std::future::pending());
        assert!(soon(streams.tasks.wait()).await.is_err());
        streams.abort.cancel();
        assert!(soon(streams.tasks.wait()).await.is_ok());
    }
}
