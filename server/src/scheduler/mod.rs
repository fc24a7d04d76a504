//! Which samples share the next call of the network.
//!
//! The device is shared by **principal**, then by **request**, then by **sample**:
//!
//! * Shares are equal by time. Each principal, and each request within its principal, has a virtual
//!   time that grows by the seconds it was given, and the least goes first (start-time fair
//!   queueing, Goyal et al. 1996). One that arrives, was paused, or had all its samples in a call
//!   with room left, starts at the clock of its level: it neither catches up nor pays.
//! * A principal that uses less than its share goes before those that use theirs up, see
//!   [`credit`]. So a single sample is not slowed by a job of ten thousand, and whoever asks for
//!   more than a share gets just that.
//! * Within a principal, urgent requests go first, by priority, then by the time at which they
//!   should be done: those with a deadline, and the first second of every other, so short requests
//!   finish early. They take at most four fifths of what the principal is given, so nothing
//!   starves. [`Priority`] says who is urgent for longer, and who only with a deadline.
//! * Within a request, older samples go first and a new one begins only when all samples in flight
//!   advance, so finished samples come early and little state is held.
//!
//! How large a call is follows from what it costs, see [`size`](self::size).
//!
//! A pure state machine: no clock but its own, no I/O, no randomness.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cost::CostCurve;
use crate::principal::Principal;

mod credit;
use credit::Credit;

mod job;
use job::Job;
pub(crate) use job::{Entry, Priority, alone};

mod order;
use order::Order;

mod size;
use size::Call;

/// Number of a request, in the order of arrival.
pub(crate) type JobId = u64;

/// Position of a model in the registry.
pub(crate) type ModelId = usize;

/// A virtual time, or time of the device, in nanoseconds.
type Nanos = u64;

/// The requests that have samples to advance.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    jobs: BTreeMap<JobId, Job>,
    principals: BTreeMap<Principal, Share>,
    /// The virtual time at which the latest pick of a principal began.
    clock: Nanos,
}

/// What a principal has been given.
#[derive(Debug)]
struct Share {
    virtual_time: Nanos,
    /// What it may be given before those that use up their shares.
    credit: Credit,
    /// What its urgent requests may be given before its others.
    urgent: Credit,
    /// The virtual time at which the latest pick of one of its requests began.
    clock: Nanos,
    /// Its requests, those that wait for their readers included.
    requests: usize,
    /// Its requests that may advance.
    ready: Vec<JobId>,
}

/// Principals that are remembered, so that leaving and coming back renews no credit.
const REMEMBERED: usize = 4096;

/// What the next call of the network advances.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) model: ModelId,
    pub(crate) picks: Vec<Pick>,
}

/// One sample of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) job: JobId,
    /// Position of the sample in its request.
    pub(crate) sample: u64,
    /// Whether the sample begins with this row.
    pub(crate) begins: bool,
}

/// What a row costs besides its evals, in evals: a row without one is cheap, not free.
const ROW: f64 = 1.0 / 16.0;

/// Returns what a row weighs in the price of its call.
fn weight(evals: u32) -> f64 {
    f64::from(evals) + ROW
}

impl Scheduler {
    /// Adds a request.
    pub(crate) fn add(&mut self, id: JobId, principal: &Principal, entry: Entry) {
        self.forget();
        let clock = self.clock;
        let share = self.principals.entry(principal.clone()).or_insert_with(|| Share::new(clock));
        share.requests += 1;
        share.activate(id, clock);
        self.jobs.insert(id, Job::new(principal.clone(), entry, share.clock));
    }

    /// Removes a request.
    pub(crate) fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(share) = self.principals.get_mut(&job.principal) {
            share.requests -= 1;
            share.ready.retain(|other| *other != id);
        }
    }

    /// Returns whether nothing is left to advance.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Sets whether a request may advance; it may not while its outbox is full.
    pub(crate) fn set_ready(&mut self, id: JobId, ready: bool) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.ready != ready) else { return };
        job.ready = ready;
        let Some(share) = self.principals.get_mut(&job.principal) else { return };
        if ready {
            share.activate(id, self.clock);
            job.virtual_time = job.virtual_time.max(share.clock);
        } else {
            share.ready.retain(|other| *other != id);
        }
    }

    /// Returns the numbers of samples that have not begun, and of samples in flight.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let waiting = self.jobs.values().map(Job::waiting).sum();
        let running = self.jobs.values().map(Job::in_flight).sum();
        (waiting, running)
    }

    /// Chooses the next call: at least one sample, all of one model. `None` if nothing may advance.
    ///
    /// * `now`: time since the start of the clock that [`Entry::target`] is on.
    /// * `curves`: what calls cost, one per model.
    pub(crate) fn plan(&mut self, now: Duration, curves: &[CostCurve]) -> Option<Plan> {
        let mut order = Order::new(&self.jobs, &self.principals);
        let model = self.jobs[&order.first()?.job].model;
        let curve = &curves[model];
        let price = curve.seconds_per_eval();
        let mut call = Call::new(curve);
        let mut picks = Vec::new();
        let mut exhausted = Vec::new();
        // The same for all samples of a request.
        let mut stretch: Option<(JobId, f64)> = None;
        while let Some(next) = order.first() {
            let Some(job) = self.jobs.get_mut(&next.job).filter(|job| job.model == model) else {
                order.skip();
                continue;
            };
            let Some(cost) = job.next_cost() else {
                exhausted.push(next.job);
                order.skip();
                continue;
            };
            if next.is_urgent && stretch.is_none_or(|(of, _)| of != next.job) {
                stretch = Some((next.job, job.stretch(now, curve)));
            }
            if !call.put_in(cost, stretch.filter(|_| next.is_urgent).map(|(_, stretch)| stretch)) {
                break;
            }
            let (sample, begins) = job.take();
            picks.push((Pick { job: next.job, sample, begins }, cost));
            order.charge(nanos(weight(cost) * price));
        }
        self.charge(&picks, call.seconds());
        self.lift(&exhausted);
        Some(Plan { model, picks: picks.into_iter().map(|(pick, _)| pick).collect() })
    }

    /// Divides the time of a call among its picks and moves the clocks.
    fn charge(&mut self, picks: &[(Pick, u32)], seconds: f64) {
        let active = self.principals.values().filter(|share| share.is_active()).count();
        let fair = nanos(seconds / active.max(1) as f64);
        self.principals.values_mut().for_each(|share| share.credit.earn(fair));
        let total: f64 = picks.iter().map(|(_, cost)| weight(*cost)).sum();
        let part = |cost: u32| nanos(seconds * weight(cost) / total);
        for run in picks.chunk_by(|(one, _), (next, _)| one.job == next.job) {
            let ((pick, _), Some((_, last))) = (run[0], run.last()) else { continue };
            let Some(job) = self.jobs.get_mut(&pick.job) else { continue };
            let Some(share) = self.principals.get_mut(&job.principal) else { continue };
            let given: Nanos = run.iter().map(|(_, cost)| part(*cost)).sum();
            // When its last pick began.
            let before_last = given - part(*last);
            self.clock = self.clock.max(share.virtual_time + before_last);
            share.virtual_time += given;
            share.credit.spend(given);
            share.urgent.earn(given);
            if job.is_urgent() {
                share.urgent.spend(given);
            }
            share.clock = share.clock.max(job.virtual_time + before_last);
            job.charge(given, run.iter().map(|(_, cost)| u64::from(*cost)).sum());
        }
    }

    /// Moves requests, and principals, that had all their samples in a call with room left to the
    /// clocks: there is nothing to catch up on.
    fn lift(&mut self, exhausted: &[JobId]) {
        for id in exhausted {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            let Some(share) = self.principals.get_mut(&job.principal) else { continue };
            job.virtual_time = job.virtual_time.max(share.clock);
            share.virtual_time = share.virtual_time.max(self.clock);
        }
    }

    /// Reports that a pick has advanced. Removes its request after the last sample.
    ///
    /// * `next_cost`: evals of the sample's next row; `None` if the sample is done.
    pub(crate) fn advanced(&mut self, pick: Pick, next_cost: Option<u32>) {
        let Some(job) = self.jobs.get_mut(&pick.job) else { return };
        job.put_back(pick.sample, next_cost);
        if job.is_done() {
            self.remove(pick.job);
        }
    }

    /// Forgets principals without requests: those whose credit is full would come back with the
    /// same, and there are never too many of the others.
    fn forget(&mut self) {
        self.principals.retain(|_, share| share.requests > 0 || !share.credit.is_full());
        if self.principals.len() >= REMEMBERED {
            self.principals.retain(|_, share| share.requests > 0);
        }
    }
}

impl Share {
    fn new(clock: Nanos) -> Self {
        Self {
            virtual_time: clock,
            credit: Credit::default(),
            urgent: Credit::default(),
            clock: 0,
            requests: 0,
            ready: Vec::new(),
        }
    }

    /// Returns whether it has something to advance.
    fn is_active(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a request that may advance.
    ///
    /// * `clock`: that of all principals.
    fn activate(&mut self, id: JobId, clock: Nanos) {
        if self.ready.is_empty() {
            self.virtual_time = self.virtual_time.max(clock);
        }
        self.ready.push(id);
    }
}

fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}

#[cfg(test)]
mod tests;
