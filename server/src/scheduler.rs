//! Which samples share the next call of the network.
//!
//! Requests share the time of the device fairly, by start-time fair queueing (Goyal et
//! al. 1996): the virtual time of a request grows by the price of its evals on its
//! model, and the request with the least goes first. So a request of one sample
//! advances in every call even behind ten thousand waiting samples, two requests of
//! any size get the same share, and a cheap model is not held back by an expensive one.
//! The common clock stands at the virtual time of the latest pick. A request that
//! arrives, was paused, or had all its samples in a call with room left starts at the
//! clock: it neither catches up nor pays.
//!
//! Within a request, older samples go first and a new one begins only when all samples
//! in flight advance, so finished samples come early and little state is held.
//!
//! A pure state machine: no clock but its own, no I/O, no randomness.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Number of a request, in the order of arrival.
pub(crate) type JobId = u64;

/// Position of a model in the registry.
pub(crate) type ModelId = usize;

/// The requests that have samples to advance.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    jobs: BTreeMap<JobId, Job>,
    clock: u64,
}

#[derive(Debug)]
struct Job {
    model: ModelId,
    /// Time charged so far, on the common clock.
    virtual_time: u64,
    /// Time charged per eval.
    price: u64,
    ready: bool,
    /// Samples in flight with the evals of their next row, oldest first.
    running: VecDeque<(u64, u32)>,
    /// Samples in the current call.
    in_call: u64,
    /// The first sample that has not begun.
    next: u64,
    /// The number of samples.
    samples: u64,
    /// Evals of a sample's first row.
    first_cost: u32,
}

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

impl Scheduler {
    /// Adds a request of `samples` samples whose first row costs `first_cost`.
    ///
    /// * `price`: time per eval, in a unit that all requests share; at least 1.
    pub(crate) fn add(
        &mut self,
        job: JobId,
        model: ModelId,
        price: u64,
        samples: u64,
        first_cost: u32,
    ) {
        let state = Job {
            model,
            virtual_time: self.clock,
            price: price.max(1),
            ready: true,
            running: VecDeque::new(),
            in_call: 0,
            next: 0,
            samples,
            first_cost,
        };
        self.jobs.insert(job, state);
    }

    /// Removes a request.
    pub(crate) fn remove(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Returns whether nothing is left to advance.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Sets whether a request may advance; it may not while its outbox is full.
    pub(crate) fn set_ready(&mut self, job: JobId, ready: bool) {
        let clock = self.clock;
        if let Some(job) = self.jobs.get_mut(&job) {
            if ready && !job.ready {
                job.virtual_time = job.virtual_time.max(clock);
            }
            job.ready = ready;
        }
    }

    /// Returns the numbers of samples that have not begun, and of samples in flight.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let waiting = self.jobs.values().map(|job| job.samples - job.next).sum();
        let running = self.jobs.values().map(|job| job.running.len() as u64 + job.in_call).sum();
        (waiting, running)
    }

    /// Chooses the next call: at least one sample, all of one model, with at most
    /// `max_evals(model)` evals and no more samples than that. `None` if nothing may
    /// advance.
    pub(crate) fn plan(&mut self, max_evals: impl Fn(ModelId) -> u32) -> Option<Plan> {
        let candidates = self.jobs.iter().filter(|(_, job)| job.ready && job.next_cost().is_some());
        let mut order: BinaryHeap<_> =
            candidates.map(|(id, job)| Reverse((job.virtual_time, *id))).collect();
        let Reverse((_, first)) = *order.peek()?;
        let model = self.jobs[&first].model;

        let limit = max_evals(model);
        let mut evals = 0;
        let mut picks = Vec::new();
        let mut exhausted = Vec::new();
        while let Some(Reverse((begins_at, id))) = order.pop() {
            let Some(job) = self.jobs.get_mut(&id).filter(|job| job.model == model) else {
                continue;
            };
            let Some(cost) = job.next_cost() else {
                exhausted.push(id);
                continue;
            };
            let full = evals + cost > limit || picks.len() as u32 >= limit;
            if full && !picks.is_empty() {
                break;
            }
            let (sample, begins) = job.take();
            evals += cost;
            picks.push(Pick { job: id, sample, begins });
            self.clock = self.clock.max(begins_at);
            // A row without an eval is charged too, so that it does not go first forever.
            job.virtual_time += u64::from(cost.max(1)) * job.price;
            order.push(Reverse((job.virtual_time, id)));
        }
        // All their samples are in this call, so there is nothing to catch up on.
        for id in exhausted {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.virtual_time = job.virtual_time.max(self.clock);
            }
        }
        Some(Plan { model, picks })
    }

    /// Reports that a pick has advanced. Removes its request after the last sample.
    ///
    /// * `next_cost`: evals of the sample's next row; `None` if the sample is done.
    pub(crate) fn advanced(&mut self, pick: Pick, next_cost: Option<u32>) {
        let Some(job) = self.jobs.get_mut(&pick.job) else { return };
        job.in_call -= 1;
        if let Some(cost) = next_cost {
            job.running.push_back((pick.sample, cost));
            // Picks are reported in any order; keep the oldest sample first.
            let last = job.running.len() - 1;
            let place = job.running.partition_point(|(sample, _)| *sample < pick.sample);
            if place < last
                && let Some(moved) = job.running.pop_back()
            {
                job.running.insert(place, moved);
            }
        }
        if job.running.is_empty() && job.in_call == 0 && job.next == job.samples {
            self.jobs.remove(&pick.job);
        }
    }
}

impl Job {
    /// Returns the evals of the next sample's next row; `None` if no sample can advance.
    fn next_cost(&self) -> Option<u32> {
        match self.running.front() {
            Some((_, cost)) => Some(*cost),
            None => (self.next < self.samples).then_some(self.first_cost),
        }
    }

    /// Takes the next sample into the call; returns it and whether it begins.
    fn take(&mut self) -> (u64, bool) {
        self.in_call += 1;
        if let Some((sample, _)) = self.running.pop_front() {
            return (sample, false);
        }
        self.next += 1;
        (self.next - 1, true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// Runs each sample of a job for `rows[job]` rows until all are done; returns the
    /// picks of each call.
    fn run(scheduler: &mut Scheduler, rows: &HashMap<JobId, u64>, limit: u32) -> Vec<Vec<Pick>> {
        let mut done: HashMap<(JobId, u64), u64> = HashMap::new();
        let mut calls = Vec::new();
        while let Some(plan) = scheduler.plan(|_| limit) {
            for pick in &plan.picks {
                let count = done.entry((pick.job, pick.sample)).or_default();
                *count += 1;
                let next = (*count < rows[&pick.job]).then_some(1);
                scheduler.advanced(*pick, next);
            }
            calls.push(plan.picks);
        }
        calls
    }

    #[test]
    fn three_requests_of_different_lengths_share_calls() {
        let mut scheduler = Scheduler::default();
        (0..3).for_each(|job| scheduler.add(job, 0, 1, 1, 1));
        let calls = run(&mut scheduler, &HashMap::from([(0, 10), (1, 25), (2, 4)]), 8);
        assert_eq!(calls.len(), 25);
        assert_eq!(calls[0].len(), 3);
        assert!(scheduler.is_empty());
    }

    #[test]
    fn one_sample_advances_in_every_call_beside_ten_thousand() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 10_000, 1);
        for _ in 0..50 {
            let plan = scheduler.plan(|_| 8).unwrap();
            plan.picks.into_iter().for_each(|pick| scheduler.advanced(pick, Some(1)));
        }
        scheduler.add(1, 0, 1, 1, 1);
        for _ in 0..20 {
            let plan = scheduler.plan(|_| 8).unwrap();
            assert!(plan.picks.iter().any(|pick| pick.job == 1));
            plan.picks.into_iter().for_each(|pick| scheduler.advanced(pick, Some(1)));
        }
    }

    #[test]
    fn a_request_holds_no_more_samples_than_one_call_takes() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 1000, 1);
        for _ in 0..100 {
            let plan = scheduler.plan(|_| 8).unwrap();
            plan.picks.into_iter().for_each(|pick| scheduler.advanced(pick, Some(1)));
            assert_eq!(scheduler.counts(), (992, 8));
        }
    }

    #[test]
    fn a_request_whose_stream_is_full_waits_and_does_not_catch_up() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 1, 1);
        scheduler.add(1, 0, 1, 1, 1);
        scheduler.set_ready(0, false);
        for _ in 0..10 {
            let plan = scheduler.plan(|_| 1).unwrap();
            assert_eq!(plan.picks[0].job, 1);
            scheduler.advanced(plan.picks[0], Some(1));
        }
        scheduler.set_ready(0, true);
        let mut advanced = [0, 0];
        for _ in 0..10 {
            let plan = scheduler.plan(|_| 1).unwrap();
            advanced[plan.picks[0].job as usize] += 1;
            scheduler.advanced(plan.picks[0], Some(1));
        }
        // The clock stands where the last pick began: one eval before its end.
        assert!(advanced[0] <= 6, "{advanced:?}");
    }

    #[test]
    fn guided_rows_cost_two_and_always_fit_alone() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 4, 2);
        assert_eq!(scheduler.plan(|_| 5).unwrap().picks.len(), 2);
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 4, 2);
        assert_eq!(scheduler.plan(|_| 1).unwrap().picks.len(), 1);
    }

    #[test]
    fn two_models_never_share_a_call_and_both_go_on() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 2, 1);
        scheduler.add(1, 1, 1, 2, 1);
        let mut calls = [0, 0];
        for _ in 0..20 {
            let plan = scheduler.plan(|_| 8).unwrap();
            calls[plan.model] += 1;
            assert!(plan.picks.iter().all(|pick| pick.job as usize == plan.model));
            plan.picks.into_iter().for_each(|pick| scheduler.advanced(pick, Some(1)));
        }
        assert_eq!(calls, [10, 10]);
    }

    /// Runs calls in which no sample is ever done; returns the evals per job.
    fn shares(scheduler: &mut Scheduler, calls: usize, limit: u32) -> HashMap<JobId, u64> {
        let mut shares = HashMap::new();
        for _ in 0..calls {
            for pick in scheduler.plan(|_| limit).unwrap().picks {
                *shares.entry(pick.job).or_default() += 1;
                scheduler.advanced(pick, Some(1));
            }
        }
        shares
    }

    #[test]
    fn a_newcomer_shares_with_an_older_larger_request_from_its_first_call() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 1, 1, 1);
        scheduler.add(1, 0, 1, 1000, 1);
        // The single sample could not use its share for a long time.
        shares(&mut scheduler, 100, 8);
        scheduler.add(2, 0, 1, 1000, 1);
        let shares = shares(&mut scheduler, 10, 9);
        assert_eq!(shares[&0], 10);
        assert!(shares[&1].abs_diff(shares[&2]) <= 2, "{shares:?}");
    }

    #[test]
    fn models_share_the_time_of_the_device_whatever_their_price_per_eval() {
        let mut scheduler = Scheduler::default();
        scheduler.add(0, 0, 100, 1000, 1);
        scheduler.add(1, 1, 1, 1000, 1);
        let shares = shares(&mut scheduler, 10_000, 1);
        let ratio = shares[&1] as f64 / shares[&0] as f64;
        assert!((90.0..110.0).contains(&ratio), "{ratio}");
    }

    proptest! {
        #[test]
        fn every_sample_gets_exactly_its_rows_and_no_call_is_too_large(
            jobs in prop::collection::vec((1u64..20, 1u64..8), 1..8),
            limit in 1u32..10,
        ) {
            let mut scheduler = Scheduler::default();
            let mut rows = HashMap::new();
            for (id, (samples, length)) in (0..).zip(&jobs) {
                scheduler.add(id, 0, 1, *samples, 1);
                rows.insert(id, *length);
            }
            let calls = run(&mut scheduler, &rows, limit);
            let mut seen: HashMap<(JobId, u64), u64> = HashMap::new();
            for picks in &calls {
                prop_assert!(picks.len() as u32 <= limit);
                let distinct: HashSet<_> = picks.iter().map(|p| (p.job, p.sample)).collect();
                prop_assert_eq!(distinct.len(), picks.len());
                for pick in picks {
                    let count = seen.entry((pick.job, pick.sample)).or_default();
                    prop_assert_eq!(pick.begins, *count == 0);
                    *count += 1;
                }
            }
            for (id, (samples, length)) in (0..).zip(&jobs) {
                for sample in 0..*samples {
                    prop_assert_eq!(seen.get(&(id, sample)), Some(length));
                }
            }
            prop_assert!(scheduler.is_empty());
        }

        #[test]
        fn requests_that_always_have_work_get_equal_shares(jobs in 2usize..6, limit in 1u32..8) {
            let mut scheduler = Scheduler::default();
            (0..jobs as u64).for_each(|id| scheduler.add(id, 0, 1, 1000, 1));
            let mut evals = vec![0i64; jobs];
            for _ in 0..200 {
                let plan = scheduler.plan(|_| limit).unwrap();
                for pick in plan.picks {
                    evals[pick.job as usize] += 1;
                    scheduler.advanced(pick, Some(1));
                }
                let (least, most) = (evals.iter().min().unwrap(), evals.iter().max().unwrap());
                prop_assert!(most - least <= 1);
            }
        }
    }
}
