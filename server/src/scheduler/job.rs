//! One request: its samples in flight, what it was given, and when it should be done.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ModelId, Nanos};
use crate::cost::CostCurve;
use crate::principal::Principal;

/// What goes first among the requests of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// Before the others for its first ten seconds.
    Interactive,
    /// In equal shares, after a first second that is urgent.
    Normal,
    /// Half a minute behind from the start, and urgent only with a deadline.
    Batch,
}

impl Priority {
    /// Returns the time of the device for which a request is urgent.
    pub(crate) fn urgent_for(self) -> Duration {
        match self {
            Self::Interactive => Duration::from_secs(10),
            Self::Normal => Duration::from_secs(1),
            Self::Batch => Duration::ZERO,
        }
    }

    /// Returns the virtual time by which a request begins behind the clock. The clock goes on, so
    /// nothing waits for ever.
    pub(crate) fn handicap(self) -> Duration {
        match self {
            Self::Interactive | Self::Normal => Duration::ZERO,
            Self::Batch => Duration::from_secs(30),
        }
    }
}

/// What the scheduler needs to know of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) model: ModelId,
    /// Samples; at least 1.
    pub(crate) samples: u64,
    /// Evals of one sample.
    pub(crate) evals_per_sample: u64,
    /// Evals of a sample's first row.
    pub(crate) first_cost: u32,
    pub(crate) priority: Priority,
    /// When it should be done.
    pub(crate) target: Duration,
    /// Whether that is a deadline: then all of it is urgent.
    pub(crate) has_deadline: bool,
}

/// A request in the scheduler.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) principal: Principal,
    pub(super) model: ModelId,
    /// On the clock of its principal.
    pub(super) virtual_time: Nanos,
    pub(super) ready: bool,
    pub(super) priority: Priority,
    pub(super) target: Duration,
    has_deadline: bool,
    /// Time of the device that it was given.
    given: Nanos,
    evals_left: u64,
    /// Samples in flight with the evals of their next row, oldest first.
    running: VecDeque<(u64, u32)>,
    /// Samples in the current call.
    in_call: u64,
    /// The first sample that has not begun.
    next: u64,
    samples: u64,
    first_cost: u32,
}

impl Job {
    /// * `clock`: that of its principal.
    pub(super) fn new(principal: Principal, entry: Entry, clock: Nanos) -> Self {
        Self {
            principal,
            model: entry.model,
            virtual_time: clock + entry.priority.handicap().as_nanos() as Nanos,
            ready: true,
            priority: entry.priority,
            target: entry.target,
            has_deadline: entry.has_deadline,
            given: 0,
            evals_left: entry.evals_per_sample.saturating_mul(entry.samples),
            running: VecDeque::new(),
            in_call: 0,
            next: 0,
            samples: entry.samples,
            first_cost: entry.first_cost,
        }
    }

    /// Returns the number of samples that have not begun.
    pub(super) fn waiting(&self) -> u64 {
        self.samples - self.next
    }

    /// Returns the number of samples in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.running.len() as u64 + self.in_call
    }

    /// Returns whether it should go before others of its principal.
    pub(super) fn is_urgent(&self) -> bool {
        self.has_deadline || Duration::from_nanos(self.given) < self.priority.urgent_for()
    }

    /// Returns whether every sample is done.
    pub(super) fn is_done(&self) -> bool {
        self.waiting() == 0 && self.in_flight() == 0
    }

    /// Returns the evals of the next sample's next row; `None` if no sample can advance.
    pub(super) fn next_cost(&self) -> Option<u32> {
        match self.running.front() {
            Some((_, cost)) => Some(*cost),
            None => (self.next < self.samples).then_some(self.first_cost),
        }
    }

    /// Takes the next sample into the call; returns it and whether it begins.
    pub(super) fn take(&mut self) -> (u64, bool) {
        self.in_call += 1;
        if let Some((sample, _)) = self.running.pop_front() {
            return (sample, false);
        }
        self.next += 1;
        (self.next - 1, true)
    }

    /// Takes a sample back from the call; `None`: it is done.
    pub(super) fn put_back(&mut self, sample: u64, next_cost: Option<u32>) {
        self.in_call -= 1;
        if let Some(cost) = next_cost {
            // Samples are reported in any order, as a rule in theirs; the oldest stays first.
            let is_last = self.running.back().is_none_or(|(last, _)| *last < sample);
            let place = match is_last {
                true => self.running.len(),
                false => self.running.partition_point(|(other, _)| *other < sample),
            };
            self.running.insert(place, (sample, cost));
        }
    }

    /// Charges rows.
    pub(super) fn charge(&mut self, given: Nanos, evals: u64) {
        self.given += given;
        self.virtual_time += given;
        self.evals_left = self.evals_left.saturating_sub(evals);
    }

    /// Returns how much longer than alone its calls may take so that it is done in time: 1 if it
    /// must be alone from now on, less if it is late.
    pub(super) fn stretch(&self, now: Duration, curve: &CostCurve) -> f64 {
        let left = self.target.saturating_sub(now).as_secs_f64();
        left / alone(curve, self.evals_left, self.waiting() + self.in_flight()).max(1e-9)
    }
}

/// Returns the seconds that samples take if nothing shares their calls.
///
/// * `evals`: those left of all the samples together.
/// * `samples`: how many advance side by side, if a call of the best size takes so many.
pub(crate) fn alone(curve: &CostCurve, evals: u64, samples: u64) -> f64 {
    let width = samples.clamp(1, u64::from(curve.bulk())) as u32;
    evals as f64 / f64::from(width) * curve.seconds(width)
}
