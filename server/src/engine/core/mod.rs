//! The engine as a state machine: requests in, calls of the device, parcels out. Time is an input.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::job::{Job, Parcels};
use super::{Stats, Submission};
use crate::cost::{Calibration, Costs, observe};
use crate::error::Error;
use crate::request::Request;
use crate::runtime::{Device, Outcome, RuntimeError, SlotStart, TickTimes, Work};
use crate::scheduler::{Entry, JobId, ModelId, Pick, Plan, Scheduler, alone};

/// How much longer than alone a request may take for the sake of others in its calls: larger calls
/// are cheaper for everybody. Shares come first; this only decides whether others join.
const STRETCH: f64 = 1.75;

/// Requests that return what is finished end this long before their deadline, so that the samples
/// get there in time: a part of the time that the client allowed, within bounds.
const MARGIN: (f64, Duration, Duration) =
    (0.02, Duration::from_millis(20), Duration::from_millis(500));

/// Shortest time between two estimates of when a request will be done, per 32 requests: each looks
/// at all of them.
const ETA_PAUSE: Duration = Duration::from_millis(100);

/// The requests in flight and the device that advances them.
pub(crate) struct Core {
    device: Box<dyn Device>,
    costs: Costs,
    scheduler: Scheduler,
    jobs: BTreeMap<JobId, Job>,
    next_job: JobId,
    /// The outcomes of the last tick, kept to reuse their memory.
    outcomes: Vec<Result<Outcome, RuntimeError>>,
    stats: Arc<Stats>,
    /// Where the scheduler's time begins.
    start: Instant,
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It called the network; tell [`Core::learn`] how long the turn took.
    Called { model: ModelId, evals: u32 },
    /// Every request waits for its reader.
    Blocked,
    /// There are no requests.
    Idle,
}

impl Core {
    /// * `start`: not later than any time that it will be given.
    pub(crate) fn new(
        device: Box<dyn Device>,
        costs: Costs,
        stats: Arc<Stats>,
        start: Instant,
    ) -> Self {
        Self {
            device,
            costs,
            scheduler: Scheduler::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            outcomes: Vec::new(),
            stats,
            start,
        }
    }

    /// Returns whether there are no requests.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(crate) fn accept(&mut self, submission: Submission) {
        let id = self.next_job;
        self.next_job += 1;
        let entry = self.entry(&submission.request, submission.accepted);
        self.scheduler.add(id, &submission.principal, entry);
        self.jobs.insert(id, Job::new(submission));
    }

    /// Returns what the scheduler needs to know of a request.
    fn entry(&self, request: &Request, accepted: Instant) -> Entry {
        let (samples, evals) = (request.indices.len(), request.evals());
        let alone = self.costs.with(request.model, |curve| alone(curve, evals, samples));
        let soon = Duration::try_from_secs_f64(STRETCH * alone).unwrap_or(Duration::MAX);
        let soon = self.since_start(accepted).saturating_add(soon);
        let deadline = request.deadline.map(|deadline| self.since_start(deadline.at));
        Entry {
            model: request.model,
            samples,
            evals_per_sample: request.program.evals(),
            first_cost: request.program.rows()[0].evals.count() as u32,
            priority: request.priority,
            target: deadline.unwrap_or(soon),
            has_deadline: deadline.is_some(),
        }
    }

    fn since_start(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.start)
    }

    /// Drops what nobody waits for any longer, and advances what the scheduler picks by one call.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        self.drop_abandoned_jobs();
        self.end_overdue_jobs(now);
        self.update_readiness(now);
        let plan = self.scheduler.plan(self.since_start(now), &self.costs.lock());
        let turn = match &plan {
            Some(plan) => Turn::Called { model: plan.model, evals: self.tick(plan, now) },
            None if self.jobs.is_empty() => Turn::Idle,
            None => Turn::Blocked,
        };
        let (waiting, running) = self.scheduler.counts();
        self.stats.publish(waiting, running, self.device.slots() as u64);
        turn
    }

    /// Corrects the cost of calls by what a turn took.
    pub(crate) fn learn(&self, model: ModelId, evals: u32, time: Duration) {
        self.costs.lock()[model].record(evals, time.as_secs_f64());
    }

    /// Makes one call of a calibration; once it has settled, its curve replaces the one in use.
    /// Returns whether there is more to measure.
    pub(super) fn measure(&mut self, model: ModelId, calibration: &mut Calibration) -> bool {
        let Some(size) = calibration.next_size() else { return false };
        match observe(|| self.device.probe(model, size)) {
            Ok(reading) => calibration.record(size, reading),
            Err(error) => {
                warn!(%error, model, "the cost of its calls cannot be measured");
                return false;
            }
        }
        if calibration.is_settled() {
            let curve = calibration.curve();
            info!(
                model,
                batch = curve.bulk(),
                evals_per_second = format!("{:.0}", 1.0 / curve.seconds_per_eval()),
                "the cost of its calls has settled"
            );
            let mut costs = self.costs.lock();
            costs[model] = curve.fixed(costs[model].fixed_size());
        }
        !calibration.is_settled()
    }

    /// Drops the requests whose readers have left.
    fn drop_abandoned_jobs(&mut self) {
        let abandoned = self.jobs.iter().filter(|(_, job)| job.outbox.reader_left());
        let abandoned: Vec<JobId> = abandoned.map(|(id, _)| *id).collect();
        for id in abandoned {
            debug!(job = id, "the reader left");
            self.remove(id);
        }
    }

    /// Ends the requests whose time is over.
    fn end_overdue_jobs(&mut self, now: Instant) {
        let overdue = self.jobs.iter().filter(|(_, job)| job.is_overdue(now));
        let overdue: Vec<JobId> = overdue.map(|(id, _)| *id).collect();
        for id in overdue {
            let Some(job) = self.remove(id) else { continue };
            let returns = job.request.deadline.is_some_and(|deadline| deadline.returns_finished);
            debug!(job = id, "its deadline passed");
            job.outbox.end(if returns { Ok(()) } else { Err(Error::DeadlinePassed) });
        }
    }

    /// Drops a request and frees the slots of its samples.
    fn remove(&mut self, id: JobId) -> Option<Job> {
        self.scheduler.remove(id);
        let mut job = self.jobs.remove(&id)?;
        for sample in job.samples.drain() {
            self.device.release(sample.slot);
        }
        Some(job)
    }

    /// Pauses requests whose outbox is full, and resumes those whose reader caught up.
    fn update_readiness(&mut self, now: Instant) {
        let Some((_, first)) = self.jobs.first_key_value() else { return };
        let limit = first.permit.reader_limit();
        for (id, job) in &mut self.jobs {
            if job.update_readiness(limit, now) {
                self.scheduler.set_ready(*id, !job.is_blocked());
            }
        }
    }

    /// Advances the samples of a plan and returns its evals; a panic fails their requests.
    fn tick(&mut self, plan: &Plan, now: Instant) -> u32 {
        let advance = AssertUnwindSafe(|| self.advance(plan, now));
        panic::catch_unwind(advance).unwrap_or_else(|payload| {
            self.fail_plan(plan, &RuntimeError::panicked(&*payload));
            0
        })
    }

    fn advance(&mut self, plan: &Plan, now: Instant) -> u32 {
        let tick = self.stats.next_tick();
        for pick in plan.picks.iter().filter(|pick| pick.begins) {
            self.begin(plan.model, pick, now);
        }
        let work: Vec<Work<'_>> =
            plan.picks.iter().map(|pick| self.jobs[&pick.job].work(pick)).collect();
        let evals: u64 = work.iter().map(|item| item.row.evals.count() as u64).sum();
        match self.device.tick(plan.model, &work, &mut self.outcomes) {
            Ok(times) => {
                self.stats.record_tick(evals, times);
                self.deliver(plan, tick, times, now);
                evals as u32
            }
            Err(error) => {
                self.fail_plan(plan, &error);
                0
            }
        }
    }

    /// Starts a sample in a slot of the device.
    fn begin(&mut self, model: ModelId, pick: &Pick, now: Instant) {
        let Some(job) = self.jobs.get_mut(&pick.job) else { return };
        let index = job.request.indices.at(pick.sample);
        let start = SlotStart {
            program: &job.request.program,
            noise: &job.noise,
            index,
            class_label: job.request.class_label(index),
            initial: job.request.initial.state(index),
            known: job.request.known.clone(),
        };
        let slot = self.device.start(model, start);
        job.begun(pick.sample, slot, index, now);
    }

    /// Moves every sample of a call to its next row, and puts frames and finished samples
    /// into the outboxes.
    fn deliver(&mut self, plan: &Plan, tick: u64, times: TickTimes, now: Instant) {
        let mut parcels: BTreeMap<JobId, Parcels> = BTreeMap::new();
        let mut failed = Vec::new();
        let mut outcomes = self.outcomes.drain(..);
        for run in plan.picks.chunk_by(|one, next| one.job == next.job) {
            let of_run = outcomes.by_ref().take(run.len());
            let Some(job) = self.jobs.get_mut(&run[0].job) else {
                of_run.for_each(drop);
                continue;
            };
            let parcel = parcels.entry(run[0].job).or_default();
            for (pick, outcome) in run.iter().zip(of_run) {
                match outcome {
                    Ok(outcome) => {
                        let next_cost = job.advance(pick.sample, outcome, parcel);
                        self.scheduler.advanced(*pick, next_cost);
                    }
                    Err(error) => failed.push((pick.job, error)),
                }
            }
        }
        drop(outcomes);
        let pause = ETA_PAUSE * (self.jobs.len() / 32 + 1) as u32;
        for (id, parcel) in parcels {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.note_tick(tick, times.network);
            job.permit.give_back(parcel.finished.len() as u64, parcel.evals);
            job.estimate(now, pause);
            job.outbox.put(parcel.frames, parcel.finished, job.account);
            if job.account.samples_done == job.request.indices.len()
                && let Some(job) = self.remove(id)
            {
                job.outbox.end(Ok(()));
            }
        }
        for (id, cause) in failed {
            self.fail_job(id, &cause);
        }
    }

    /// Fails every request of a call; the others go on.
    fn fail_plan(&mut self, plan: &Plan, cause: &RuntimeError) {
        for pick in &plan.picks {
            self.fail_job(pick.job, cause);
        }
    }

    /// Ends a request with an error, unless it has already ended.
    fn fail_job(&mut self, id: JobId, cause: &RuntimeError) {
        let Some(job) = self.remove(id) else { return };
        let Request { request_id, program_digest, seed, .. } = &job.request;
        error!(%cause, request_id, program_digest, seed, "a request could not be run");
        job.outbox.end(Err(Error::Runtime));
    }
}

/// Returns when a request that returns what is finished ends.
///
/// * `accepted`, `deadline`: the time that the client allowed lies between them.
pub(super) fn last_moment(accepted: Instant, deadline: Instant) -> Instant {
    let (part, least, most) = MARGIN;
    let allowed = deadline.saturating_duration_since(accepted);
    let margin = allowed.mul_f64(part).clamp(least, most).min(allowed / 2);
    deadline.checked_sub(margin).unwrap_or(deadline)
}

#[cfg(test)]
mod tests;
