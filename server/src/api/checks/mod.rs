//! The queue of checks: fair by principal and by cost, and bounded.
//!
//! A check waits for its turn, then runs on a blocking thread, away from the threads that serve
//! connections. A caller that leaves frees its place; a turn lasts until the work is over, even
//! if the caller has left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::principal::Principal;

mod queue;
pub(crate) use queue::SMALL_ROWS;
use queue::{CheckQueue, Refused, Ticket};

/// Where checks get their turns. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Checks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: CheckQueue,
    callers: HashMap<Ticket, oneshot::Sender<Result<Turn, Error>>>,
}

/// A caller that waits; it frees its place on drop.
struct Waiting {
    checks: Checks,
    ticket: Ticket,
}

/// The right to run a check, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    checks: Checks,
    ticket: Ticket,
    started: Instant,
}

impl Checks {
    /// Makes an empty queue.
    ///
    /// * `lanes`: checks of any size that may run at once; one more small one may.
    pub(crate) fn new(lanes: usize) -> Self {
        let state = State { queue: CheckQueue::new(lanes), callers: HashMap::new() };
        Self(Arc::new(Shared { began: Instant::now(), state: Mutex::new(state) }))
    }

    /// Waits for a turn.
    ///
    /// * `rows`: the estimated size of the check; up to [`SMALL_ROWS`] it is small.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyChecks`].
    pub(crate) async fn turn(&self, principal: &Principal, rows: u64) -> Result<Turn, Error> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.push(principal, rows, sender)?;
        self.start();
        let turn = receiver.await;
        drop(waiting);
        // Senders are kept until they have sent.
        turn.unwrap_or(Err(Error::Runtime))
    }

    fn push(
        &self,
        principal: &Principal,
        rows: u64,
        sender: oneshot::Sender<Result<Turn, Error>>,
    ) -> Result<Waiting, Error> {
        let now = self.now();
        let mut state = self.lock();
        let queued = state.queue.push(now, principal, rows);
        let queued = queued.map_err(|refused| too_many(refused, &state.queue))?;
        state.callers.insert(queued.ticket, sender);
        if let Some(caller) = queued.displaced.and_then(|ticket| state.callers.remove(&ticket)) {
            let max = state.queue.waiting();
            // It does not matter whether the caller is still there.
            let _ = caller.send(Err(too_many(Refused::All { max }, &state.queue)));
        }
        Ok(Waiting { checks: self.clone(), ticket: queued.ticket })
    }

    /// Gives turns to the callers that are next.
    fn start(&self) {
        let mut started = Vec::new();
        let mut state = self.lock();
        while let Some(ticket) = state.queue.start() {
            let turn = Turn { checks: self.clone(), ticket, started: Instant::now() };
            started.push((state.callers.remove(&ticket), turn));
        }
        drop(state);
        for (caller, turn) in started {
            // The turn of a caller that has left ends here, and the next one begins.
            if let Some(caller) = caller {
                let _ = caller.send(Ok(turn));
            }
        }
    }

    /// Seconds since the queue was made.
    fn now(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = self.checks.now();
        let mut state = self.checks.lock();
        state.callers.remove(&self.ticket);
        state.queue.cancel(now, self.ticket);
    }
}

impl Turn {
    /// Notes that the work begins only now: the way to a blocking thread is not its time.
    pub(crate) fn begin(&mut self) {
        self.started = Instant::now();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (now, seconds) = (self.checks.now(), self.started.elapsed().as_secs_f64());
        self.checks.lock().queue.finish(now, self.ticket, seconds);
        self.checks.start();
    }
}

fn too_many(refused: Refused, queue: &CheckQueue) -> Error {
    let (what, limit) = match refused {
        Refused::Principal { max } => ("too many requests of this client wait to be checked", max),
        Refused::All { max } => ("too many requests wait to be checked", max),
    };
    let retry_after = Duration::from_secs_f64(queue.seconds().clamp(1.0, 10.0));
    Error::TooManyChecks { what, limit, retry_after }
}

#[cfg(test)]
mod tests;
