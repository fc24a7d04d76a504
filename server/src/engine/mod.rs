//! The tick: one thread per device advances the samples that the scheduler picks, of
//! any requests, samplers and timesteps, with one call of the network.
//!
//! Samples join and leave between calls, so a short request never waits for a long
//! one. Requests whose readers have left are dropped before the next call. The thread
//! ends in one of two ways:
//!
//! * when the last [`EngineHandle`] is dropped and every request is done;
//! * at once, even if idle, when `abort` is cancelled: streams end with
//!   [`Error::Stopped`].
//!
//! A panic in a tick fails its requests, not the engine: they end with
//! [`Error::Runtime`] while the others go on. If a panic elsewhere ends the thread,
//! [`EngineHandle::ended`] is cancelled and the server stops.

use std::collections::{BTreeMap, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ddpm_diffusion::{Noise, Row};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::admission::Permit;
use crate::error::Error;
use crate::outbox::{Account, Finished, Frame, FrameKind, Outbox};
use crate::registry::Cost;
use crate::request::Request;
use crate::runtime::{Device, Outcome, RuntimeError, Slot, SlotStart, TickTimes, Work};
use crate::scheduler::{JobId, ModelId, Pick, Plan, Scheduler};

mod stats;
pub(crate) use stats::{Stats, StatsReading};

/// Submissions that may wait for the engine.
const INBOX: usize = 64;

/// How long the engine sleeps while every request waits for its reader.
const BLOCKED_PAUSE: Duration = Duration::from_millis(1);

/// A request and everything needed to serve it.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) outbox: Outbox,
    pub(crate) permit: Permit,
    pub(crate) accepted: Instant,
}

/// Submits requests to the engine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EngineHandle {
    inbox: mpsc::Sender<Submission>,
    stats: Arc<Stats>,
    ended: CancellationToken,
}

impl EngineHandle {
    /// Starts the engine on a thread of its own.
    ///
    /// * `costs`: one per model, in the order of their ids.
    ///
    /// # Errors
    ///
    /// If the thread, or the runtime it waits on, cannot be created.
    pub(crate) fn start(
        device: Box<dyn Device>,
        costs: Vec<Cost>,
        abort: CancellationToken,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (inbox, submissions) = mpsc::channel(INBOX);
        let stats = Arc::new(Stats::default());
        let mut engine = Engine {
            device,
            costs,
            scheduler: Scheduler::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            outcomes: Vec::new(),
            stats: Arc::clone(&stats),
            idle_runtime: runtime::Builder::new_current_thread().build()?,
        };
        let ended = CancellationToken::new();
        // A panic drops it too.
        let guard = ended.clone().drop_guard();
        let thread = thread::Builder::new().name("ddpm-engine".into()).spawn(move || {
            let _guard = guard;
            engine.run(submissions, &abort);
        })?;
        Ok((Self { inbox, stats, ended }, thread))
    }

    /// Submits a request; waits while the inbox is full.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the engine has ended.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<(), Error> {
        self.inbox.send(submission).await.map_err(|_| Error::Stopped)
    }

    /// Returns a token that is cancelled when the engine's thread ends for any reason.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Returns the engine's counters since its start.
    pub(crate) fn stats(&self) -> StatsReading {
        self.stats.read()
    }
}

struct Engine {
    device: Box<dyn Device>,
    costs: Vec<Cost>,
    scheduler: Scheduler,
    jobs: BTreeMap<JobId, Job>,
    next_job: JobId,
    /// The outcomes of the last tick, kept to reuse their memory.
    outcomes: Vec<Result<Outcome, RuntimeError>>,
    stats: Arc<Stats>,
    /// Lets an idle engine wait for a request or the abort, whichever comes first.
    idle_runtime: Runtime,
}

/// A request in flight.
struct Job {
    request: Request,
    noise: Noise,
    outbox: Outbox,
    permit: Permit,
    accepted: Instant,
    account: Account,
    /// Samples in flight, by their position in the request.
    samples: HashMap<u64, Sample>,
    blocked_since: Option<Instant>,
}

/// A sample in flight.
#[derive(Debug, Clone, Copy)]
struct Sample {
    slot: Slot,
    index: u64,
    /// Position of its next row in the program.
    row: usize,
}

impl Engine {
    fn run(&mut self, mut submissions: mpsc::Receiver<Submission>, abort: &CancellationToken) {
        while !abort.is_cancelled() && self.receive(&mut submissions, abort) {
            self.drop_abandoned_jobs();
            self.update_readiness();
            match self.scheduler.plan(|model| self.costs[model].max_evals) {
                Some(plan) => self.tick(&plan),
                // Every outbox is full: wait for a reader.
                None if !self.jobs.is_empty() => thread::sleep(BLOCKED_PAUSE),
                None => {}
            }
            self.publish();
        }
        debug!("engine stopped");
    }

    /// Accepts the submissions that have arrived; waits for one if there is nothing else
    /// to do. Returns false if the engine should end: everything is done and nobody can
    /// submit any more, or `abort` was cancelled.
    fn receive(
        &mut self,
        submissions: &mut mpsc::Receiver<Submission>,
        abort: &CancellationToken,
    ) -> bool {
        if self.jobs.is_empty() {
            self.stats.idle();
            let first = self.idle_runtime.block_on(abort.run_until_cancelled(submissions.recv()));
            match first.flatten() {
                Some(submission) => self.accept(submission),
                None => return false,
            }
            self.stats.active();
        }
        loop {
            match submissions.try_recv() {
                Ok(submission) => self.accept(submission),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn accept(&mut self, submission: Submission) {
        let Submission { request, outbox, permit, accepted } = submission;
        let id = self.next_job;
        self.next_job += 1;
        let first_cost = request.program.rows()[0].evals.count() as u32;
        let price = (self.costs[request.model].seconds_per_eval * 1e9) as u64;
        self.scheduler.add(id, request.model, price, request.indices.len(), first_cost);
        let job = Job {
            noise: Noise::new(request.seed),
            request,
            outbox,
            permit,
            accepted,
            account: Account::default(),
            samples: HashMap::new(),
            blocked_since: None,
        };
        self.jobs.insert(id, job);
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

    /// Drops a request and frees the slots of its samples.
    fn remove(&mut self, id: JobId) -> Option<Job> {
        self.scheduler.remove(id);
        let mut job = self.jobs.remove(&id)?;
        for (_, sample) in job.samples.drain() {
            self.device.release(sample.slot);
        }
        Some(job)
    }

    /// Pauses requests whose outbox is full, and resumes those whose reader caught up.
    fn update_readiness(&mut self) {
        for (id, job) in &mut self.jobs {
            let full = job.outbox.is_full();
            self.scheduler.set_ready(*id, !full);
            match (full, job.blocked_since) {
                (true, None) => job.blocked_since = Some(Instant::now()),
                (false, Some(since)) => {
                    job.account.blocked_time += since.elapsed();
                    job.blocked_since = None;
                }
                _ => {}
            }
        }
    }

    /// Advances the samples of a plan; a panic fails their requests.
    fn tick(&mut self, plan: &Plan) {
        let advance = AssertUnwindSafe(|| self.advance(plan));
        if let Err(payload) = panic::catch_unwind(advance) {
            self.fail_plan(plan, &RuntimeError::panicked(&*payload));
        }
    }

    fn advance(&mut self, plan: &Plan) {
        let tick = self.stats.next_tick();
        for pick in plan.picks.iter().filter(|pick| pick.begins) {
            self.begin(plan.model, pick);
        }
        let work: Vec<Work<'_>> =
            plan.picks.iter().map(|pick| self.jobs[&pick.job].work(pick)).collect();
        let evals: u64 = work.iter().map(|item| item.row.evals.count() as u64).sum();
        match self.device.tick(plan.model, &work, &mut self.outcomes) {
            Ok(times) => {
                self.stats.record_tick(evals, times);
                self.deliver(plan, tick, times);
            }
            Err(error) => self.fail_plan(plan, &error),
        }
    }

    /// Starts a sample in a slot of the device.
    fn begin(&mut self, model: ModelId, pick: &Pick) {
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
        job.samples.insert(pick.sample, Sample { slot, index, row: 0 });
        if job.account.samples_begun == 0 {
            job.account.queue_time = job.accepted.elapsed();
        }
        job.account.samples_begun += 1;
    }

    /// Moves every sample of a call to its next row, and puts frames and finished samples
    /// into the outboxes.
    fn deliver(&mut self, plan: &Plan, tick: u64, times: TickTimes) {
        let mut parcels: BTreeMap<JobId, (Vec<Frame>, Vec<Finished>)> = BTreeMap::new();
        let mut failed = Vec::new();
        for (pick, outcome) in plan.picks.iter().zip(self.outcomes.drain(..)) {
            let Some(job) = self.jobs.get_mut(&pick.job) else { continue };
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    failed.push((pick.job, error));
                    continue;
                }
            };
            let (frames, finished) = parcels.entry(pick.job).or_default();
            let next_cost = job.advance(pick.sample, outcome, frames, finished);
            self.scheduler.advanced(*pick, next_cost);
        }
        for (id, (frames, finished)) in parcels {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.note_tick(tick, times.network);
            job.outbox.put(frames, finished, job.account);
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

    fn publish(&self) {
        let (waiting, running) = self.scheduler.counts();
        self.stats.publish(waiting, running, self.device.slots() as u64);
    }
}

impl Job {
    fn row(&self, position: usize) -> &Row {
        &self.request.program.rows()[position]
    }

    /// Returns the work of the device for one sample.
    fn work(&self, pick: &Pick) -> Work<'_> {
        let sample = self.samples[&pick.sample];
        let row = self.row(sample.row);
        let label = row.label;
        let shown = label.ends_step.then_some(self.request.watch.as_ref()).flatten();
        let shown = shown.filter(|watch| watch.shows(sample.index, label.step, label.num_steps));
        // Frames show x_t at the scale of the network's next input.
        let scale = self.request.program.rows().get(sample.row + 1).map_or(1.0, |next| next.c_in);
        Work {
            slot: sample.slot,
            row,
            position: sample.row,
            show_x_0: shown.is_some_and(|watch| watch.x_0),
            show_x_t: shown.filter(|watch| watch.x_t).map(|_| scale),
            last: sample.row + 1 == self.request.program.rows().len(),
        }
    }

    /// Moves a sample past the row that was applied. Returns the evals of its next row,
    /// or `None` if it is done.
    fn advance(
        &mut self,
        position: u64,
        outcome: Outcome,
        frames: &mut Vec<Frame>,
        finished: &mut Vec<Finished>,
    ) -> Option<u32> {
        let sample = self.samples[&position];
        let row = self.row(sample.row);
        let (label, evals) = (row.label, row.evals.count() as u64);
        let mut show = |kind, values: Option<Vec<f32>>| {
            frames.extend(values.map(|values| Frame {
                index: sample.index,
                kind,
                step: label.step,
                num_steps: label.num_steps,
                noise_level: label.noise_level,
                values,
            }));
        };
        show(FrameKind::X0, outcome.x_0);
        show(FrameKind::XT, outcome.x_t);
        self.account.evals += evals;
        if let Some(values) = outcome.sample {
            let values = values.iter().all(|value| value.is_finite()).then_some(values);
            finished.push(Finished { index: sample.index, values });
            self.account.samples_done += 1;
            self.samples.remove(&position);
            self.permit.give_back(1, evals);
            return None;
        }
        self.permit.give_back(0, evals);
        let next = sample.row + 1;
        self.samples.insert(position, Sample { row: next, ..sample });
        Some(self.row(next).evals.count() as u32)
    }

    fn note_tick(&mut self, tick: u64, network_time: Duration) {
        if self.account.ticks == 0 {
            self.account.first_tick = tick;
        }
        self.account.ticks += 1;
        self.account.last_tick = tick;
        self.account.compute_time += network_time;
    }
}

#[cfg(test)]
mod tests;
