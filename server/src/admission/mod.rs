//! Decides whether there is room for a request. Nothing waits here: a request is admitted
//! at once, or refused with the time after which to retry.
//!
//! A request needs room in four ways: memory, a place among the requests and samples of all
//! principals, a place within the quotas of its own, and, if it has a deadline, enough time.
//! Requests whose readers are behind keep their memory, but not their places: who does not read
//! holds no queue against the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::cost::Costs;
use crate::error::Error;
use crate::principal::Principal;
use crate::scheduler::{ModelId, Priority};

mod forecast;

mod ledger;
use ledger::{Ledger, Remaining, RequestId};

mod memory;
use memory::NoRoom;
pub(crate) use memory::{Memory, Room, SMALL_BYTES, SMALL_PART, Small, Unread};

mod quota;

/// The limits on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_samples: u32,
    pub(crate) max_evals: u64,
    pub(crate) max_watched_samples: u32,
    pub(crate) max_queued_samples: u64,
    pub(crate) max_requests: u32,
    pub(crate) max_request_bytes: u64,
    /// Most bytes of all requests together: messages, rows, inputs, and what waits for readers.
    pub(crate) max_held_bytes: u64,
    /// Most requests of one principal at the same time.
    pub(crate) max_principal_requests: u32,
    /// Most samples of one principal.
    pub(crate) max_principal_samples: u64,
    /// Most time of the device that the requests of one principal may wait for together.
    pub(crate) max_principal_backlog: Option<Duration>,
    /// Most evals that one principal may ask for per minute.
    pub(crate) max_principal_evals: Option<u64>,
    /// How long a stream may go without taking a whole event.
    pub(crate) stall: Duration,
}

/// Part of the queue that each principal finds free, however full it is of others.
const EVERYONE: u64 = 64;

/// Counts the work that is admitted and not yet done.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    costs: Costs,
    memory: Memory,
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    draining: bool,
}

/// The work that is admitted and not yet done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) requests: u32,
    /// Requests whose readers are behind.
    pub(crate) blocked: u32,
    pub(crate) principals: u32,
    /// Samples, except of blocked requests.
    pub(crate) samples: u64,
    pub(crate) evals: u64,
    /// Time of the device for `evals`, at the best price of each model.
    pub(crate) seconds: f64,
    /// Bytes of messages, rows, inputs, and of what waits for readers.
    pub(crate) bytes: u64,
    /// Bytes that wait for readers.
    pub(crate) reader_bytes: u64,
    pub(crate) draining: bool,
}

/// The work and memory that a request needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) model: ModelId,
    pub(crate) samples: u64,
    pub(crate) evals: u64,
    pub(crate) priority: Priority,
    /// Bytes of its rows and inputs.
    pub(crate) bytes: u64,
    /// When it must be done, if it is refused otherwise.
    pub(crate) deadline: Option<Instant>,
}

/// What a request may expect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forecast {
    /// Samples of other requests that wait or are in flight.
    pub(crate) queue_position: u64,
    /// Seconds of the device that it takes in calls of the best size.
    pub(crate) compute: f64,
    /// Seconds until it is done, if nothing else arrives.
    pub(crate) eta: f64,
}

/// Room for one admitted request; freed on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Admission,
    id: RequestId,
    principal: Principal,
    _room: Room,
}

impl Admission {
    pub(crate) fn new(limits: Limits, costs: Costs) -> Self {
        let memory = Memory::new(limits.max_held_bytes);
        let (state, idle) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { limits, costs, memory, state, idle }))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn counts(&self) -> Counts {
        let held = self.0.memory.held();
        let state = self.lock();
        let ledger = &state.ledger;
        Counts {
            requests: ledger.requests(),
            blocked: ledger.blocked(),
            principals: ledger.principals(),
            samples: ledger.samples(),
            evals: ledger.evals(),
            seconds: ledger.seconds(&self.0.costs),
            bytes: held.total(),
            reader_bytes: held.readers,
            draining: state.draining,
        }
    }

    /// Holds memory for a request while it arrives and is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Draining`].
    pub(crate) fn hold(&self, bytes: u64) -> Result<Room, Error> {
        if self.lock().draining {
            return Err(Error::Draining);
        }
        self.0.memory.hold(bytes).map_err(|no_room| self.no_room(no_room))
    }

    /// As [`Admission::hold`], for a message that needed no memory but the small room.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Draining`].
    pub(crate) fn hold_small(&self, message: Small) -> Result<Room, Error> {
        if self.lock().draining {
            return Err(Error::Draining);
        }
        self.0.memory.hold_small(message).map_err(|no_room| self.no_room(no_room))
    }

    /// Describes a lack of memory, with the time after which to retry.
    pub(crate) fn no_room(&self, NoRoom { limit }: NoRoom) -> Error {
        let retry_after = self.lock().retry_after(&self.0.costs);
        let what = "requests and their readers hold too many bytes";
        Error::Full { what, limit, retry_after }
    }

    /// Says what a request may expect, without admitting it.
    pub(crate) fn forecast(&self, principal: &Principal, demand: &Demand) -> Forecast {
        self.lock().ledger.forecast(principal, demand, &self.0.costs)
    }

    /// Admits a request in the room that its check held.
    ///
    /// # Errors
    ///
    /// [`Error::Draining`], [`Error::Full`], [`Error::Quota`] or [`Error::Infeasible`].
    pub(crate) fn admit(
        &self,
        mut room: Room,
        principal: &Principal,
        demand: Demand,
        now: Instant,
    ) -> Result<(Permit, Forecast), Error> {
        room.resize(demand.bytes).map_err(|no_room| self.no_room(no_room))?;
        let Shared { limits, costs, .. } = &*self.0;
        let mut state = self.lock();
        if state.draining {
            return Err(Error::Draining);
        }
        state.check_places(limits, costs, principal, &demand)?;
        let forecast = state.ledger.forecast(principal, &demand, costs);
        state.ledger.check_deadline(principal, &demand, costs, now)?;
        // Last, because it spends the quota of evals.
        state.ledger.check_quotas(principal, &demand, limits, costs, now)?;
        let id = state.ledger.add(principal, Remaining::from(&demand), costs, now);
        drop(state);
        let admission = self.clone();
        Ok((Permit { admission, id, principal: principal.clone(), _room: room }, forecast))
    }

    /// Refuses all requests from now on.
    pub(crate) fn drain(&self) {
        self.lock().draining = true;
        self.0.idle.notify_waiters();
    }

    /// Waits until every admitted request is done.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.0.idle.notified();
            if self.lock().ledger.requests() == 0 {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns when to retry: when the admitted work should be done, but soon, since other
    /// clients may leave earlier.
    fn retry_after(&self, costs: &Costs) -> Duration {
        Duration::from_secs_f64(self.ledger.seconds(costs).clamp(1.0, 10.0))
    }

    /// Checks the places that all principals share.
    fn check_places(
        &self,
        limits: &Limits,
        costs: &Costs,
        principal: &Principal,
        demand: &Demand,
    ) -> Result<(), Error> {
        let full = |what, limit| {
            let retry_after = self.retry_after(costs);
            Err(Error::Full { what, limit, retry_after })
        };
        if self.ledger.requests() >= limits.max_requests {
            return full("too many requests at once", u64::from(limits.max_requests));
        }
        let samples = self.ledger.samples();
        let own = self.ledger.samples_of(principal).saturating_add(demand.samples);
        // However full the queue is of others, there is room for a little of everyone.
        if own <= limits.max_queued_samples / EVERYONE {
            return Ok(());
        }
        // A request that is larger than the queue is admitted if it is alone.
        if samples > 0 && samples.saturating_add(demand.samples) > limits.max_queued_samples {
            return full("too many samples are queued", limits.max_queued_samples);
        }
        Ok(())
    }
}

impl Permit {
    /// Frees the places of finished work.
    pub(crate) fn give_back(&mut self, samples: u64, evals: u64) {
        self.admission.lock().ledger.give_back(&self.principal, self.id, samples, evals);
    }

    /// Says whether the request waits for its reader: then its samples hold no places.
    pub(crate) fn set_blocked(&mut self, blocked: bool) {
        self.admission.lock().ledger.set_blocked(&self.principal, self.id, blocked);
    }

    /// Returns how many bytes may wait for one reader now.
    pub(crate) fn reader_limit(&self) -> u64 {
        self.admission.memory().reader_limit()
    }

    /// Returns the seconds until the request is done, if nothing else arrives.
    pub(crate) fn eta(&self) -> f64 {
        let costs = &self.admission.0.costs;
        self.admission.lock().ledger.eta(&self.principal, self.id, costs)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.ledger.remove(&self.principal, self.id);
        if state.ledger.requests() == 0 {
            self.admission.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
