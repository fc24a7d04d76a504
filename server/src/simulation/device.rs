//! A device that computes nothing: it counts, takes made-up time, and fails on command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use crate::runtime::{Device, Outcome, RuntimeError, Slot, SlotStart, TickTimes, Work};
use crate::scheduler::ModelId;

/// Elements of a sample: a point.
pub(super) const LEN: usize = 2;

/// What the device did.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The (seed's) index and model of the sample in each slot that is in use.
    pub(super) slots: BTreeMap<Slot, u64>,
    /// Evals so far.
    pub(super) evals: u64,
    /// Calls so far.
    pub(super) calls: u64,
    /// Indices of the samples in the latest call.
    pub(super) latest: Vec<u64>,
    /// Time that the latest call took.
    pub(super) took: Duration,
    /// What broke a promise of the engine.
    pub(super) broken: Option<String>,
}

/// A device with its own idea of what calls cost.
pub(super) struct SimulatedDevice {
    log: Arc<Mutex<Log>>,
    rng: Rng,
    /// Seconds of a call: (fixed, per eval), one per model.
    costs: Vec<(f64, f64)>,
    next_slot: Slot,
}

impl SimulatedDevice {
    pub(super) fn new(rng: Rng, costs: Vec<(f64, f64)>) -> (Self, Arc<Mutex<Log>>) {
        let log = Arc::new(Mutex::new(Log::default()));
        (Self { log: Arc::clone(&log), rng, costs, next_slot: 0 }, log)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    fn outcome(&mut self, work: &Work<'_>) -> Result<Outcome, RuntimeError> {
        if self.rng.u32(..2000) == 0 {
            return Err(RuntimeError("a sample failed on purpose".into()));
        }
        let value = if self.rng.u32(..500) == 0 { f32::NAN } else { 0.5 };
        let values = || vec![value; LEN];
        Ok(Outcome {
            x_0: work.show_x_0.then(values),
            x_t: work.show_x_t.map(|_| values()),
            sample: work.last.then(values),
        })
    }
}

/// Locks a log.
pub(super) fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device for SimulatedDevice {
    fn start(&mut self, _: ModelId, start: SlotStart<'_>) -> Slot {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.log().slots.insert(slot, start.index);
        slot
    }

    fn tick(
        &mut self,
        model: ModelId,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<TickTimes, RuntimeError> {
        let evals: usize = work.iter().map(|item| item.row.evals.count()).sum();
        let (fixed, each) = self.costs[model];
        let noise = self.rng.f64() * 0.2 + 0.9;
        let network = Duration::from_secs_f64((fixed + each * evals as f64) * noise);
        {
            let mut log = self.log();
            log.calls += 1;
            log.took = network;
            log.latest.clear();
            for item in work {
                match log.slots.get(&item.slot).copied() {
                    Some(index) => log.latest.push(index),
                    None => log.broken = Some(format!("slot {} is free", item.slot)),
                }
            }
        }
        if self.rng.u32(..1000) == 0 {
            return Err(RuntimeError("a call failed on purpose".into()));
        }
        self.log().evals += evals as u64;
        outcomes.clear();
        for item in work {
            let outcome = self.outcome(item);
            if item.last && outcome.is_ok() {
                self.release(item.slot);
            }
            outcomes.push(outcome);
        }
        Ok(TickTimes { network, kernel: Duration::ZERO })
    }

    fn probe(&mut self, _: ModelId, _: u32) -> Result<Duration, RuntimeError> {
        Ok(Duration::ZERO)
    }

    fn release(&mut self, slot: Slot) {
        self.log().slots.remove(&slot);
    }

    fn slots(&self) -> usize {
        self.log().slots.len()
    }
}
