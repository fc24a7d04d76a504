//! Which check runs next: a pure state machine, with time as an input.
//!
//! A check decodes a request, validates it and compiles its rows: from microseconds to seconds.
//! Principals share the time of checks: each has a virtual time, the seconds that its checks
//! took, and the principal with the least goes first. Within a principal the smallest estimate
//! goes first, but every second of waiting outweighs [`ROWS_PER_SECOND`] rows, so nothing
//! starves.
//!
//! Large checks run in a few lanes, and one more lane is kept for small ones: a small check never
//! waits behind a large one.

use std::collections::{BTreeMap, BTreeSet};

use crate::principal::Principal;

/// Most rows of a small check.
pub(crate) const SMALL_ROWS: u64 = 2000;

/// Most checks that wait.
const MAX_WAITING: usize = 1024;

/// Most checks of one principal that wait.
const MAX_WAITING_EACH: usize = 256;

/// Rows that a second of waiting outweighs: no check waits more than five seconds longer than
/// smaller ones of its principal.
const ROWS_PER_SECOND: f64 = 20_000.0;

/// Time of a row before any was measured, in seconds.
const FIRST_SECONDS_PER_ROW: f64 = 2e-6;

/// Most principals that are remembered while none of their checks waits or runs.
const MAX_REMEMBERED: usize = 4096;

/// The number of a check.
pub(crate) type Ticket = u64;

/// The checks that wait and run.
#[derive(Debug)]
pub(crate) struct CheckQueue {
    /// Checks of any size that may run at once.
    lanes: usize,
    /// Checks that run in these lanes.
    running: usize,
    /// The check in the lane for small ones.
    small_lane: Option<Ticket>,
    principals: BTreeMap<Principal, Line>,
    /// Where each check is.
    checks: BTreeMap<Ticket, Check>,
    waiting: usize,
    next: Ticket,
    /// The largest virtual time, without estimates, of a principal whose check was started; it
    /// never goes back.
    clock: f64,
    seconds_per_row: f64,
}

/// A place in a principal's line: the sum of rows and arrival, and the check.
type Place = (u64, Ticket);

/// The checks of a principal.
#[derive(Debug, Default)]
struct Line {
    /// Virtual time: what its checks took, in seconds.
    time: f64,
    /// What the checks that run should take, in seconds.
    charged: f64,
    /// When its last check ended, in seconds.
    idle_since: f64,
    running: usize,
    small: BTreeSet<Place>,
    large: BTreeSet<Place>,
}

#[derive(Debug)]
struct Check {
    principal: Principal,
    rows: u64,
    place: Place,
    runs: bool,
    /// What its principal was charged when it started, in seconds.
    charged: f64,
}

/// Why a check cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The principal has as many as one may have.
    Principal { max: usize },
    /// All together are as many as may wait, and others have no more than this principal.
    All { max: usize },
}

/// A check that waits now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) ticket: Ticket,
    /// A check that lost its place to it: the last of the principal with the most.
    pub(crate) displaced: Option<Ticket>,
}

impl CheckQueue {
    /// Makes an empty queue.
    ///
    /// * `lanes`: checks of any size that may run at once, at least 1; one more small one may.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes: lanes.max(1),
            running: 0,
            small_lane: None,
            principals: BTreeMap::new(),
            checks: BTreeMap::new(),
            waiting: 0,
            next: 0,
            clock: 0.0,
            seconds_per_row: FIRST_SECONDS_PER_ROW,
        }
    }

    /// Adds a check to the line of its principal.
    ///
    /// * `now`: seconds since any fixed time;
    /// * `rows`: the estimated size of the check.
    ///
    /// # Errors
    ///
    /// [`Refused`] if too many wait.
    pub(crate) fn push(
        &mut self,
        now: f64,
        principal: &Principal,
        rows: u64,
    ) -> Result<Queued, Refused> {
        let own = self.principals.get(principal).map_or(0, Line::waiting);
        if own >= MAX_WAITING_EACH {
            return Err(Refused::Principal { max: MAX_WAITING_EACH });
        }
        let displaced = match self.waiting >= MAX_WAITING {
            true => Some(self.last_of_the_longest(own).ok_or(Refused::All { max: MAX_WAITING })?),
            false => None,
        };
        if let Some(ticket) = displaced {
            self.cancel(now, ticket);
        }
        self.forget(now);
        let ticket = self.next;
        self.next += 1;
        let place = ((rows as f64 + ROWS_PER_SECOND * now.max(0.0)) as u64, ticket);
        let clock = self.clock;
        let line = self.principals.entry(principal.clone()).or_default();
        if line.is_idle() {
            // What it took is forgiven with time, and nothing is saved up.
            line.time = clock + line.debt(clock, now);
        }
        line.side(rows).insert(place);
        let check = Check { principal: principal.clone(), rows, place, runs: false, charged: 0.0 };
        self.checks.insert(ticket, check);
        self.waiting += 1;
        Ok(Queued { ticket, displaced })
    }

    /// Starts a check if a lane is free; call it until it returns `None`.
    pub(crate) fn start(&mut self) -> Option<Ticket> {
        let any_size = self.running < self.lanes;
        if !any_size && self.small_lane.is_some() {
            return None;
        }
        let startable = |line: &Line| match any_size {
            true => line.first().is_some(),
            false => !line.small.is_empty(),
        };
        let waiting = self.principals.iter().filter(|(_, line)| startable(line));
        let (principal, _) = waiting.min_by(|(_, a), (_, b)| a.due().total_cmp(&b.due()))?;
        let principal = principal.clone();
        let line = self.principals.get_mut(&principal)?;
        let place = if any_size { line.first()? } else { *line.small.first()? };
        let check = self.checks.get_mut(&place.1)?;
        line.side(check.rows).remove(&place);
        // An estimate is given back, the clock is not: else who asks for much, and is refused,
        // would set everybody else behind itself.
        self.clock = self.clock.max(line.time);
        check.runs = true;
        check.charged = check.rows as f64 * self.seconds_per_row;
        line.charged += check.charged;
        line.running += 1;
        self.waiting -= 1;
        match any_size {
            true => self.running += 1,
            false => self.small_lane = Some(place.1),
        }
        Some(place.1)
    }

    /// Removes a check that waits: its caller has left.
    pub(crate) fn cancel(&mut self, now: f64, ticket: Ticket) {
        if self.checks.get(&ticket).is_none_or(|check| check.runs) {
            return;
        }
        let Some(check) = self.checks.remove(&ticket) else { return };
        self.waiting -= 1;
        if let Some(line) = self.principals.get_mut(&check.principal) {
            line.side(check.rows).remove(&check.place);
            line.idle_since = now;
        }
        self.forget(now);
    }

    /// Frees the lane of a check that ran, and charges its principal.
    ///
    /// * `seconds`: how long it took.
    pub(crate) fn finish(&mut self, now: f64, ticket: Ticket, seconds: f64) {
        if self.checks.get(&ticket).is_none_or(|check| !check.runs) {
            return;
        }
        let Some(check) = self.checks.remove(&ticket) else { return };
        match self.small_lane == Some(ticket) {
            true => self.small_lane = None,
            false => self.running -= 1,
        }
        if let Some(line) = self.principals.get_mut(&check.principal) {
            line.time += seconds;
            line.running -= 1;
            // Sums of fractions leave a rest.
            line.charged = if line.running > 0 { line.charged - check.charged } else { 0.0 };
            line.idle_since = now;
        }
        if check.rows > 0 {
            let measured = seconds / check.rows as f64;
            self.seconds_per_row += 0.1 * (measured - self.seconds_per_row);
        }
        self.forget(now);
    }

    /// Returns the checks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how long the checks that wait should take all together, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        let waiting = self.checks.values().filter(|check| !check.runs);
        let rows: f64 = waiting.map(|check| check.rows as f64).sum();
        rows * self.seconds_per_row / self.lanes as f64
    }

    /// Returns the last check of the principal with the most, if that has more than `own` + 1.
    fn last_of_the_longest(&self, own: usize) -> Option<Ticket> {
        let longest = self.principals.values().max_by_key(|line| line.waiting())?;
        let last = longest.large.last().into_iter().chain(longest.small.last()).max()?;
        (longest.waiting() > own + 1).then_some(last.1)
    }

    /// Forgets principals that have nothing here and owe nothing.
    fn forget(&mut self, now: f64) {
        let clock = self.clock;
        self.principals.retain(|_, line| !line.is_idle() || line.debt(clock, now) > 0.0);
        if self.principals.len() > MAX_REMEMBERED + MAX_WAITING {
            self.principals.retain(|_, line| !line.is_idle());
        }
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.small.len() + self.large.len()
    }

    fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.running == 0
    }

    /// Its virtual time when the checks that run are over, as far as one can tell.
    fn due(&self) -> f64 {
        self.time + self.charged
    }

    /// The time by which it is ahead of the others, less the time since.
    fn debt(&self, clock: f64, now: f64) -> f64 {
        (self.time - clock - (now - self.idle_since).max(0.0)).max(0.0)
    }

    /// The checks of a size like this.
    fn side(&mut self, rows: u64) -> &mut BTreeSet<Place> {
        if rows <= SMALL_ROWS { &mut self.small } else { &mut self.large }
    }

    fn first(&self) -> Option<Place> {
        self.small.first().into_iter().chain(self.large.first()).min().copied()
    }
}

#[cfg(test)]
mod tests;
