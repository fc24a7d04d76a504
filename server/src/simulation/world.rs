//! One schedule, and the promises that it must keep:
//!
//! * every request ends in exactly one way, and every sample comes at most once, from the request
//!   that asked for it; with `completed`, none is missing;
//! * events are numbered without a gap, and nothing comes after the last;
//! * slots of the device belong to samples in flight, and are free at the end, as are all memory,
//!   places and evals of the admission;
//! * nothing is computed for a request after its deadline, or after its client left;
//! * limits and quotas are never exceeded;
//! * whoever reads is served within a bound.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ddpm_diffusion::{Evals, Label, Mix, Program, Row};
use ddpm_package::Manifest;
use ddpm_proto::v1;
use fastrand::Rng;

use super::client::{Client, Habit};
use super::device::{Log, SimulatedDevice, lock};
use crate::admission::tests::limits;
use crate::admission::{Admission, Demand, Limits};
use crate::api::{Checked, Script};
use crate::cost::{CostCurve, Costs};
use crate::engine::{Core, Stats, Submission, Turn};
use crate::error::Error;
use crate::frames::{Encoder, Encoding};
use crate::outbox::{Delivery, outbox};
use crate::principal::Principal;
use crate::request::{Deadline, Indices, Initial, Request, Watch};
use crate::scheduler::Priority;

/// How long an unread stream goes on, in seconds of the schedule.
const STALL: Duration = Duration::from_secs(30);

/// Indices of one request; those of the next begin here.
const INDICES: u64 = 1000;

/// A server in small, and its clients.
pub(super) struct World {
    rng: Rng,
    core: Core,
    log: Arc<Mutex<Log>>,
    admission: Admission,
    limits: Limits,
    models: usize,
    principals: u8,
    clients: BTreeMap<u64, Client>,
    start: Instant,
    now: Instant,
    /// When the next request comes, and how many still do.
    next_arrival: Instant,
    arrivals: u64,
    /// Average time between two.
    pause: f64,
    accepted: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let models = rng.usize(1..=2);
        // From a toy to a large network, in seconds per eval.
        let costs: Vec<(f64, f64)> = (0..models)
            .map(|_| (10f64.powf(rng.f64() * 4.0 - 5.0), 10f64.powf(rng.f64() * 4.0 - 5.0)))
            .collect();
        let batch = rng.u32(1..=16);
        // What the server believes may be wrong by a factor of two.
        let curve = |(fixed, each): &(f64, f64), factor: f64| {
            let sizes = (1..=batch).filter(|size| size.is_power_of_two() || *size == batch);
            let seconds = |size: u32| factor * (fixed + each * f64::from(size));
            CostCurve::new(&sizes.map(|size| (size, seconds(size))).collect::<Vec<_>>())
        };
        let curves = costs.iter().map(|cost| curve(cost, rng.f64() * 1.5 + 0.5)).collect();
        let curves = Costs::new(curves);
        let limits = Limits {
            max_requests: rng.u32(2..20),
            max_queued_samples: rng.u64(10..60),
            max_principal_requests: rng.u32(1..12),
            max_principal_evals: rng.bool().then(|| rng.u64(50..5000)),
            max_principal_backlog: rng.bool().then(|| Duration::from_secs(rng.u64(1..100))),
            max_held_bytes: rng.u64(2_000..40_000),
            stall: STALL,
            ..limits()
        };
        let start = Instant::now();
        let (device, log) = SimulatedDevice::new(rng.fork(), costs);
        let core = Core::new(Box::new(device), curves.clone(), Arc::new(Stats::default()), start);
        Self {
            pause: 10f64.powf(rng.f64() * 4.0 - 3.0),
            arrivals: rng.u64(1..12),
            principals: rng.u8(1..=3),
            rng,
            core,
            log,
            admission: Admission::new(limits, curves),
            limits,
            models,
            clients: BTreeMap::new(),
            start,
            now: start,
            next_arrival: start,
            accepted: 0,
        }
    }

    /// Runs the schedule to its end.
    ///
    /// # Errors
    ///
    /// The promise that was broken.
    pub(super) fn run(mut self) -> Result<(), String> {
        loop {
            while self.arrivals > 0 && self.next_arrival <= self.now {
                self.arrive()?;
            }
            let evals = lock(&self.log).evals;
            let turn = self.core.turn(self.now);
            self.after(turn, evals)?;
            if self.arrivals == 0 && self.core.is_idle() {
                break;
            }
        }
        self.check_end()
    }

    /// Lets a request arrive, which may be refused.
    fn arrive(&mut self) -> Result<(), String> {
        self.arrivals -= 1;
        self.next_arrival = self.now + Duration::from_secs_f64(self.rng.f64() * 2.0 * self.pause);
        let number = self.accepted;
        let request = self.request(number);
        let principal = Principal::of_address([127, 0, 0, self.rng.u8(0..self.principals)].into());
        let Ok(room) = self.admission.hold(request.bytes()) else { return Ok(()) };
        let fails_at = request.deadline.filter(|deadline| !deadline.returns_finished);
        let demand = Demand {
            model: request.model,
            samples: request.indices.len(),
            evals: request.evals(),
            priority: request.priority,
            bytes: request.bytes(),
            deadline: fails_at.map(|deadline| deadline.at),
        };
        let before = self.admission.counts();
        let Ok((permit, forecast)) = self.admission.admit(room, &principal, demand, self.now)
        else {
            let after = self.admission.counts();
            return match before.evals == after.evals && before.samples == after.samples {
                true => Ok(()),
                false => Err(format!("a refusal changed {before:?} to {after:?}")),
            };
        };
        let delivery = request.watch.as_ref().map_or(Delivery::Latest, |watch| watch.delivery);
        let (outbox, reader) = outbox(delivery, self.admission.memory());
        let script = Script::new(checked(request.clone()));
        let accepted = script.accepted(&forecast);
        let habit = match self.rng.u32(..10) {
            0 => Habit::Never,
            1 => Habit::Leaves(self.rng.u64(1..40)),
            2 => Habit::Slow(self.rng.u64(2..30)),
            _ => Habit::Prompt,
        };
        let mut client = Client::new(request.clone(), habit, script, reader, self.now);
        client.see(accepted)?;
        self.clients.insert(number, client);
        self.accepted += 1;
        let submission = Submission { request, principal, outbox, permit, accepted: self.now };
        self.core.accept(submission);
        Ok(())
    }

    /// Makes a request whose sample indices are its own.
    fn request(&mut self, number: u64) -> Request {
        let rng = &mut self.rng;
        let steps = rng.u32(1..=6);
        let rows = (1..=steps).map(|step| {
            let evals = match rng.u32(..8) {
                0 => Evals::Zero,
                1 => Evals::Guided { scale: 2.0 },
                _ => Evals::One,
            };
            let label = Label { step, num_steps: steps, ends_step: true, noise_level: 0.0 };
            Row { evals, u: Mix { u: 1.0, ..Mix::ZERO }, label, ..Row::at(1.0) }
        });
        let program = Program::new(rows.collect()).expect("its rows are in order");
        let samples = rng.u64(1..=12);
        let first = number * INDICES;
        let watch = (rng.u32(..3) == 0).then(|| Watch {
            indices: (first..first + samples).collect(),
            x_0: true,
            x_t: rng.bool(),
            every_steps: rng.u32(1..4),
            delivery: if rng.bool() { Delivery::All } else { Delivery::Latest },
        });
        let deadline = (rng.u32(..3) == 0).then(|| Deadline {
            at: self.now + Duration::from_secs_f64(10f64.powf(rng.f64() * 5.0 - 2.0)),
            returns_finished: rng.bool(),
        });
        Request {
            request_id: String::new(),
            model: rng.usize(..self.models),
            program_digest: String::new(),
            program: Arc::new(program),
            seed: 0,
            indices: Indices::new(vec![(first, samples)]).expect("one range"),
            class_labels: vec![],
            initial: Arc::new(Initial::Noise),
            known: None,
            watch,
            priority: match rng.u32(..4) {
                0 => Priority::Batch,
                1 => Priority::Interactive,
                _ => Priority::Normal,
            },
            deadline,
        }
    }

    /// Moves the clock, lets the clients act, and checks what can be checked now.
    fn after(&mut self, turn: Turn, evals_before: u64) -> Result<(), String> {
        let called = matches!(turn, Turn::Called { .. });
        if called {
            self.check_call()?;
        }
        let took = lock(&self.log).took;
        self.now += match turn {
            Turn::Called { model, evals } => {
                let counted = lock(&self.log).evals - evals_before;
                if counted != u64::from(evals) {
                    return Err(format!("{counted} evals were reported as {evals}"));
                }
                self.core.learn(model, evals, took);
                took.max(Duration::from_micros(1))
            }
            Turn::Blocked => Duration::from_millis(1),
            Turn::Idle => self.next_arrival.saturating_duration_since(self.now),
        };
        for client in self.clients.values_mut().filter(|client| client.is_open()) {
            client.act(self.now, STALL)?;
        }
        self.check_counts()?;
        self.check_waits()
    }

    /// Checks that the call was made for requests that wait for it.
    fn check_call(&mut self) -> Result<(), String> {
        let log = lock(&self.log);
        if let Some(broken) = &log.broken {
            return Err(broken.clone());
        }
        for index in &log.latest {
            let number = index / INDICES;
            let Some(client) = self.clients.get_mut(&number) else {
                return Err(format!("sample {index} belongs to nobody"));
            };
            client.served = self.now;
            if !client.is_open() {
                return Err(format!("sample {index} was computed after its client had gone"));
            }
            if client.request.deadline.is_some_and(|deadline| self.now >= deadline.at) {
                return Err(format!("sample {index} was computed after its deadline"));
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let counts = self.admission.counts();
        let limits = &self.limits;
        if counts.requests > limits.max_requests {
            return Err(format!("{} requests", counts.requests));
        }
        let slots = lock(&self.log).slots.len();
        if slots > 0 && counts.requests == 0 {
            return Err(format!("{slots} slots in use without a request"));
        }
        // One request larger than its limit passes alone; readers may exceed theirs by a call.
        let requests = counts.bytes - counts.reader_bytes;
        if requests > limits.max_held_bytes && counts.requests > 1 {
            return Err(format!("{requests} bytes are held"));
        }
        Ok(())
    }

    /// Checks that nobody who reads waits for too long. A principal has a share among at most
    /// three, give or take two seconds of credit of each; a request has a share of a fifth of
    /// that at least, half a minute late if it is of priority `Batch`.
    fn check_waits(&self) -> Result<(), String> {
        let open = self.clients.values().filter(|client| client.is_open());
        let requests = open.clone().count() as f64;
        // A call takes at most 16 evals of 0.1 s, and 10 % more.
        let bound = 3.0 * (2.0 * 3.0 + 5.0 * requests * (30.0 + 4.0 + 2.0));
        for client in open.filter(|client| client.habit == Habit::Prompt) {
            let waited = self.now.saturating_duration_since(client.served).as_secs_f64();
            if waited > bound {
                return Err(format!("a {:?} request waited {waited} s", client.request.priority));
            }
        }
        Ok(())
    }

    fn check_end(mut self) -> Result<(), String> {
        for client in self.clients.values_mut() {
            // What is left to read is read: every stream has an end.
            client.read(usize::MAX)?;
        }
        for (number, client) in &self.clients {
            match &client.end {
                None => return Err(format!("request {number} has no end")),
                Some(Err(Error::DeadlinePassed)) if client.request.deadline.is_none() => {
                    return Err(format!("request {number} had no deadline"));
                }
                Some(Err(Error::Stopped)) => return Err(format!("request {number} was dropped")),
                Some(_) => {}
            }
        }
        self.clients.clear();
        let (counts, log) = (self.admission.counts(), lock(&self.log));
        let left = (counts.requests, counts.samples, counts.evals, counts.bytes, counts.blocked);
        if left != (0, 0, 0, 0, 0) || counts.seconds != 0.0 {
            return Err(format!("at the end {counts:?}"));
        }
        if !log.slots.is_empty() {
            return Err(format!("at the end {} slots are in use", log.slots.len()));
        }
        let _ = self.start;
        Ok(())
    }
}

/// Returns a request as its stream needs it.
fn checked(request: Request) -> Checked {
    let json = include_bytes!("../../../models/toy/ddpm.json");
    let manifest = Manifest::parse("toy".as_ref(), json).expect("it is embedded");
    let encoder = || Encoder::new(Encoding::RawF32, &manifest).expect("points have elements");
    let receipt = v1::Receipt::default();
    Checked { request, receipt, encoder: encoder(), preview_encoder: encoder() }
}
