//! Counters of the engine since its start, readable from any thread.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::runtime::TickTimes;

/// Counters that the engine writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    ticks: AtomicU64,
    evals: AtomicU64,
    network_ns: AtomicU64,
    kernel_ns: AtomicU64,
    waiting: AtomicU64,
    running: AtomicU64,
    slots: AtomicU64,
    active: Mutex<Active>,
}

/// Time with requests in flight: the closed spans, and the start of an open one.
#[derive(Debug, Default)]
struct Active {
    closed: Duration,
    since: Option<Instant>,
}

/// A snapshot of [`Stats`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StatsReading {
    pub(crate) ticks: u64,
    pub(crate) evals: u64,
    /// Time inside calls of the network.
    pub(crate) network: Duration,
    /// Time of the device outside them: inputs, kernel and noise.
    pub(crate) kernel: Duration,
    /// Time with requests in flight.
    pub(crate) active: Duration,
    pub(crate) waiting: u64,
    pub(crate) running: u64,
    /// Slots in use on the device.
    pub(crate) slots: u64,
}

impl StatsReading {
    /// Returns the share of the active time spent inside calls of the network, in [0, 1].
    pub(crate) fn busy_ratio(&self) -> f64 {
        if self.active.is_zero() {
            return 0.0;
        }
        (self.network.as_secs_f64() / self.active.as_secs_f64()).min(1.0)
    }
}

impl Stats {
    /// Counts a tick and returns its number, from 1.
    pub(super) fn next_tick(&self) -> u64 {
        self.ticks.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn record_tick(&self, evals: u64, times: TickTimes) {
        self.evals.fetch_add(evals, Relaxed);
        self.network_ns.fetch_add(times.network.as_nanos() as u64, Relaxed);
        self.kernel_ns.fetch_add(times.kernel.as_nanos() as u64, Relaxed);
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
            network: Duration::from_nanos(self.network_ns.load(Relaxed)),
            kernel: Duration::from_nanos(self.kernel_ns.load(Relaxed)),
            active,
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            slots: self.slots.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_ratio_is_the_share_of_the_active_time_inside_the_network() {
        let reading = |active, network| StatsReading {
            active: Duration::from_secs(active),
            network: Duration::from_secs(network),
            ..Stats::default().read()
        };
        assert_eq!(reading(0, 0).busy_ratio(), 0.0);
        assert_eq!(reading(8, 2).busy_ratio(), 0.25);
        // Clocks are read one after the other.
        assert_eq!(reading(8, 9).busy_ratio(), 1.0);
    }

    #[test]
    fn what_was_published_last_is_read() {
        let stats = Stats::default();
        stats.publish(9, 9, 9);
        stats.publish(3, 2, 5);
        let reading = stats.read();
        assert_eq!((reading.waiting, reading.running, reading.slots), (3, 2, 5));
    }

    #[test]
    fn time_is_active_only_while_requests_are_in_flight() {
        let stats = Stats::default();
        let pause = || std::thread::sleep(Duration::from_millis(20));
        assert_eq!(stats.read().active, Duration::ZERO);
        stats.active();
        pause();
        stats.active();
        stats.idle();
        let active = stats.read().active;
        assert!(active >= Duration::from_millis(20), "{active:?}");
        pause();
        stats.idle();
        assert_eq!(stats.read().active, active);
    }
}
