//! The tick: one thread per device advances the samples that the scheduler picks, of
//! any requests, samplers and timesteps, with one call of the network.
//!
//! Samples join and leave between calls, so a short request never waits for a long
//! one. Requests whose readers have left, or whose deadline has passed, are dropped before the next
//! call. [`Core`] is the state machine: it knows no thread and no clock, so simulations drive it
//! through millions of schedules. This file gives it both. While there is nothing to do, it goes
//! on measuring what calls cost, see [`Upkeep`]. The thread ends in one of two ways:
//!
//! * when the last [`EngineHandle`] is dropped and every request is done;
//! * at once, even if idle, when `abort` is cancelled: streams end with
//!   [`Error::Stopped`].
//!
//! If a panic ends the thread, [`EngineHandle::ended`] is cancelled and the server stops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::admission::Permit;
use crate::cost::{Costs, Upkeep};
use crate::error::Error;
use crate::outbox::Outbox;
use crate::principal::Principal;
use crate::request::Request;
use crate::runtime::Device;
use crate::scheduler::ModelId;

mod core;
pub(crate) use self::core::{Core, Turn};

mod in_flight;

mod job;

mod stats;
pub(crate) use stats::{Stats, StatsReading};

/// Submissions that may wait for the engine.
const INBOX: usize = 64;

/// How long the engine must have been idle before it goes on measuring what calls cost.
const QUIET: Duration = Duration::from_millis(300);

/// How long the engine sleeps while every request waits for its reader.
const BLOCKED_PAUSE: Duration = Duration::from_millis(1);

/// A request and everything needed to serve it.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) principal: Principal,
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
    /// * `upkeep`: what is left to measure of each model.
    ///
    /// # Errors
    ///
    /// If the thread, or the runtime it waits on, cannot be created.
    pub(crate) fn start(
        device: Box<dyn Device>,
        costs: Costs,
        upkeep: Vec<Upkeep>,
        abort: CancellationToken,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (inbox, submissions) = mpsc::channel(INBOX);
        let stats = Arc::new(Stats::default());
        let core = Core::new(device, costs, Arc::clone(&stats), Instant::now());
        let idle_runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let upkeep = upkeep.into_iter().enumerate().collect();
        let mut engine = Engine { core, upkeep, stats: Arc::clone(&stats), idle_runtime };
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

/// The thread's side of the engine.
struct Engine {
    core: Core,
    /// The models whose cost is still being measured.
    upkeep: VecDeque<(ModelId, Upkeep)>,
    stats: Arc<Stats>,
    /// Lets an idle engine wait for a request or the abort, whichever comes first.
    idle_runtime: Runtime,
}

impl Engine {
    fn run(&mut self, mut submissions: mpsc::Receiver<Submission>, abort: &CancellationToken) {
        while !abort.is_cancelled() && self.receive(&mut submissions, abort) {
            let started = Instant::now();
            match self.core.turn(started) {
                Turn::Called { model, evals } => {
                    self.core.learn(model, evals, started.elapsed());
                }
                // Every outbox is full: wait for a reader.
                Turn::Blocked => thread::sleep(BLOCKED_PAUSE),
                Turn::Idle => {}
            }
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
        if self.core.is_idle() {
            self.stats.idle();
            match self.wait(submissions, abort) {
                Some(submission) => self.core.accept(submission),
                None => return false,
            }
            self.stats.active();
        }
        loop {
            match submissions.try_recv() {
                Ok(submission) => self.core.accept(submission),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Waits for a submission, and measures meanwhile, one call at a time.
    fn wait(
        &mut self,
        submissions: &mut mpsc::Receiver<Submission>,
        abort: &CancellationToken,
    ) -> Option<Submission> {
        let mut pause = QUIET;
        while let Some((model, upkeep)) = self.upkeep.front_mut() {
            let pause = std::mem::replace(&mut pause, upkeep.calibration.pause());
            // A timer must be made inside of the runtime.
            let next = async { timeout(pause, submissions.recv()).await };
            match self.idle_runtime.block_on(abort.run_until_cancelled(next)) {
                Some(Err(_)) => {}
                None => return None,
                Some(Ok(submission)) => return submission,
            }
            let model = *model;
            if !self.core.measure(model, &mut upkeep.calibration) {
                self.upkeep.pop_front().into_iter().for_each(|(_, upkeep)| keep(upkeep));
            } else {
                // Each model has its turn, so one that never settles keeps none from it.
                self.upkeep.rotate_left(1);
            }
        }
        let next = abort.run_until_cancelled(submissions.recv());
        self.idle_runtime.block_on(next).flatten()
    }
}

/// Writes a measurement down, on a thread that may wait for the disk.
fn keep(upkeep: Upkeep) {
    let thread = thread::Builder::new().name("ddpm-cache".into());
    if let Err(error) = thread.spawn(move || upkeep.keep()) {
        debug!(%error, "a measurement is not kept");
    }
}

#[cfg(test)]
mod tests;
