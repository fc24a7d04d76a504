//! What the engine did since the start, readable from any thread.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::runtime::Took;

/// Written by the engine, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    ticks: AtomicU64,
    evals: AtomicU64,
    inside_ns: AtomicU64,
    kernel_ns: AtomicU64,
    waiting: AtomicU64,
    running: AtomicU64,
    slots: AtomicU64,
    active: Mutex<Active>,
}

/// How long there were requests, in spans that begin and end.
#[derive(Debug, Default)]
struct Active {
    closed: Duration,
    since: Option<Instant>,
}

/// One reading of [`Stats`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StatsReading {
    pub(crate) ticks: u64,
    pub(crate) evals: u64,
    /// Time inside calls of the network.
    pub(crate) inside: Duration,
    /// Time of the device around them: inputs, kernel and noise.
    pub(crate) kernel: Duration,
    /// Time with requests in flight.
    pub(crate) active: Duration,
    pub(crate) waiting: u64,
    pub(crate) running: u64,
    /// Slots in use on the device.
    pub(crate) slots: u64,
}

impl StatsReading {
    /// Share of the active time that was spent inside calls of the network.
    pub(crate) fn busy_ratio(&self) -> f64 {
        if self.active.is_zero() {
            return 0.0;
        }
        (self.inside.as_secs_f64() / self.active.as_secs_f64()).min(1.0)
    }
}

impl Stats {
    /// Counts a tick and gives its number, from 1.
    pub(super) fn next_tick(&self) -> u64 {
        self.ticks.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn ran(&self, evals: u64, took: Took) {
        self.evals.fetch_add(evals, Relaxed);
        self.inside_ns.fetch_add(took.network.as_nanos() as u64, Relaxed);
        self.kernel_ns.fetch_add(took.kernel.as_nanos() as u64, Relaxed);
    }

    pub(super) fn publish(&self, waiting: u64, running: u64, slots: u64) {
        self.waiting.store(waiting, Relaxed);
        self.running.store(running, Relaxed);
        self.slots.store(slots, Relaxed);
    }

    pub(super) fn active(&self) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn idle(&self) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = active.since.take() {
            active.closed += since.elapsed();
        }
    }

    pub(super) fn read(&self) -> StatsReading {
        let active = {
            let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
            active.closed + active.since.map_or(Duration::ZERO, |since| since.elapsed())
        };
        StatsReading {
            ticks: self.ticks.load(Relaxed),
            evals: self.evals.load(Relaxed),
            inside: Duration::from_nanos(self.inside_ns.load(Relaxed)),
            kernel: Duration::from_nanos(self.kernel_ns.load(Relaxed)),
            active,
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            slots: self.slots.load(Relaxed),
        }
    }
}
