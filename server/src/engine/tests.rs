//! The engine with a stub network, which is exact: samples are compared bit for bit.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ddpm_diffusion::{
    Clip, Evals, GridSpec, Label, Mask, Mix, Noise, Parameterisation, Prediction, Program, Recipe,
    Row, Schedule, Variance,
};

use super::*;
use crate::admission::tests::limits;
use crate::admission::{Admission, Demand, Limits};
use crate::cost::CostCurve;
use crate::outbox::{Account, Delivery, Frame, FrameKind, Reader, outbox};
use crate::request::{Deadline, Indices, Initial, KnownImage, Request, Watch};
use crate::runtime::stub::Stub;
use crate::scheduler::Priority;

const LEN: usize = 6;

/// An engine over a stub, with everything needed to submit requests.
struct TestEngine {
    handle: Option<EngineHandle>,
    thread: Option<thread::JoinHandle<()>>,
    admission: Admission,
    abort: CancellationToken,
    stub: Stub,
}

impl TestEngine {
    fn start(max_evals: u32) -> Self {
        Self::with_memory(max_evals, 1 << 40)
    }

    /// Starts an engine whose requests may hold `memory` bytes, a sixteenth of it for one reader.
    fn with_memory(max_evals: u32, memory: u64) -> Self {
        let stub = Stub::default();
        let abort = CancellationToken::new();
        let device = Box::new(stub.device(LEN));
        let costs = Costs::new(vec![CostCurve::flat(1e-6, max_evals)]);
        let (handle, thread) =
            EngineHandle::start(device, costs.clone(), Vec::new(), abort.clone()).unwrap();
        let limits = Limits { max_held_bytes: memory, ..limits() };
        let admission = Admission::new(limits, costs);
        Self { handle: Some(handle), thread: Some(thread), admission, abort, stub }
    }

    async fn submit(&self, request: Request) -> Reader {
        let delivery = request.watch.as_ref().map_or(Delivery::Latest, |watch| watch.delivery);
        let (outbox, reader) = outbox(delivery, self.admission.memory());
        let (samples, evals) = (request.indices.len(), request.evals());
        let demand = Demand {
            model: 0,
            samples,
            evals,
            priority: Priority::Normal,
            bytes: 0,
            deadline: None,
        };
        let principal = Principal::of_address([127, 0, 0, 1].into());
        let (room, now) = (self.admission.hold(0).unwrap(), Instant::now());
        let (permit, _) = self.admission.admit(room, &principal, demand, now).unwrap();
        let submission = Submission { request, principal, outbox, permit, accepted: now };
        self.handle.as_ref().unwrap().submit(submission).await.unwrap();
        reader
    }

    async fn run(&self, request: Request) -> Answer {
        read(self.submit(request).await).await
    }

    fn stats(&self) -> StatsReading {
        self.handle.as_ref().unwrap().stats()
    }

    /// Waits until the engine has nothing in flight.
    async fn idle(&self) -> StatsReading {
        self.admission.idle().await;
        loop {
            let stats = self.stats();
            if stats.running == 0 && stats.waiting == 0 && stats.slots == 0 {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.abort.cancel();
        self.handle = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Everything that one stream delivered.
#[derive(Debug, Default)]
struct Answer {
    samples: BTreeMap<u64, Option<Vec<f32>>>,
    frames: Vec<Frame>,
    account: Account,
    end: Option<Result<(), Error>>,
}

async fn read(mut reader: Reader) -> Answer {
    let mut answer = Answer::default();
    while answer.end.is_none() {
        let parcel = reader.take().await;
        answer.frames.extend(parcel.frames);
        let samples = parcel.finished.into_iter();
        answer.samples.extend(samples.map(|sample| (sample.index, sample.values)));
        answer.account = parcel.account;
        answer.end = parcel.end;
    }
    answer
}

fn compiled(sampler: &str, grid: GridSpec, num_steps: usize) -> Program {
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedLarge);
    let recipe = Recipe::new(sampler.parse().unwrap(), &network);
    Recipe { grid, num_steps, clip: Clip::Unit, ..recipe }.compile(&network).unwrap()
}

fn ddim(num_steps: usize, eta: f64) -> Program {
    compiled(&format!("ddim:eta={eta}"), GridSpec::Trailing, num_steps)
}

fn ddpm(num_steps: usize) -> Program {
    compiled("ddpm", GridSpec::Leading { offset: 0 }, num_steps)
}

fn request(program: Program, seed: u64, samples: u64) -> Request {
    Request {
        request_id: String::new(),
        model: 0,
        program_digest: program.digest(),
        program: Arc::new(program),
        seed,
        indices: Indices::new(vec![(0, samples)]).unwrap(),
        class_labels: vec![],
        initial: Arc::new(Initial::Noise),
        known: None,
        watch: None,
        priority: Priority::Normal,
        deadline: None,
    }
}

#[tokio::test]
async fn requests_of_different_samplers_and_lengths_share_calls_and_keep_their_bits() {
    let requests =
        [request(ddim(10, 0.0), 7, 2), request(ddpm(25), 8, 1), request(ddim(40, 1.0), 9, 3)];
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(TestEngine::start(64).run(request.clone()).await);
    }

    let engine = TestEngine::start(64);
    let [a, b, c] = requests;
    // Submitted before any of them runs: the engine's inbox holds them all.
    let readers = [engine.submit(a).await, engine.submit(b).await, engine.submit(c).await];
    for (reader, alone) in readers.into_iter().zip(&alone) {
        let together = read(reader).await;
        assert!(matches!(together.end, Some(Ok(()))));
        assert_eq!(together.samples, alone.samples);
        assert_eq!(together.account.evals, alone.account.evals);
    }
    let ticks = engine.idle().await.ticks;
    assert!(ticks < 10 + 25 + 40, "{ticks} ticks");
}

#[tokio::test]
async fn a_reader_that_leaves_frees_its_slots_and_the_others_go_on() {
    let engine = TestEngine::start(8);
    let left = engine.submit(request(ddpm(100), 1, 100_000)).await;
    let stays = engine.submit(request(ddim(50, 0.0), 2, 4)).await;
    drop(left);
    assert_eq!(read(stays).await.samples.len(), 4);
    let stats = engine.idle().await;
    assert_eq!((stats.slots, stats.running, stats.waiting), (0, 0, 0));
    assert!(stats.evals < 100_000, "the abandoned request was not computed");
}

#[tokio::test]
async fn a_full_outbox_pauses_its_own_request_alone() {
    // One finished sample fills the outbox.
    let engine = TestEngine::with_memory(4, 16 * 4 * LEN as u64);
    let mut slow = engine.submit(request(ddim(5, 0.0), 1, 50)).await;
    let fast = engine.run(request(ddim(50, 0.0), 2, 8)).await;
    assert_eq!(fast.samples.len(), 8);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let counts = engine.admission.counts();
    assert!(counts.evals > 0, "the slow request waits for its reader");
    assert_eq!((counts.blocked, counts.samples), (1, 0), "its samples hold no places");

    let mut samples = 0;
    let account = loop {
        let parcel = slow.take().await;
        samples += parcel.finished.len();
        if parcel.end.is_some() {
            break parcel.account;
        }
    };
    assert_eq!(samples, 50);
    assert!(account.blocked_time > Duration::ZERO);
}

#[tokio::test]
async fn frames_come_at_their_cadence_and_the_last_x_0_is_the_sample() {
    let engine = TestEngine::start(8);
    let mut watched = request(ddim(10, 0.0), 3, 2);
    watched.watch = Some(Watch {
        indices: vec![1],
        x_0: true,
        x_t: true,
        every_steps: 4,
        delivery: Delivery::All,
    });
    let answer = engine.run(watched).await;
    let seen: Vec<_> = answer.frames.iter().map(|f| (f.index, f.kind, f.step)).collect();
    let want: Vec<_> = [4, 8, 10]
        .into_iter()
        .flat_map(|step| [(1, FrameKind::X0, step), (1, FrameKind::XT, step)])
        .collect();
    assert_eq!(seen, want);
    let last = &answer.frames[4..];
    assert_eq!(Some(&last[0].values), answer.samples[&1].as_ref());
    assert_eq!(last[0].values, last[1].values);
    assert_eq!(last[0].noise_level, 0.0);
}

#[tokio::test]
async fn a_network_that_fails_ends_its_requests_and_the_next_one_is_served() {
    let engine = TestEngine::start(8);
    engine.stub.broken.store(true, Ordering::Relaxed);
    let failed = engine.run(request(ddim(5, 0.0), 1, 3)).await;
    assert!(matches!(failed.end, Some(Err(Error::Runtime))));
    assert_eq!(engine.idle().await.slots, 0);
    engine.stub.broken.store(false, Ordering::Relaxed);
    assert_eq!(engine.run(request(ddim(5, 0.0), 1, 3)).await.samples.len(), 3);
}

#[tokio::test]
async fn a_network_that_panics_ends_its_requests_and_the_next_one_is_served() {
    let engine = TestEngine::start(8);
    let unharmed = engine.run(request(ddim(5, 0.0), 1, 3)).await.samples;
    engine.stub.panics.store(true, Ordering::Relaxed);
    let failed = engine.run(request(ddim(5, 0.0), 1, 3)).await;
    assert!(matches!(failed.end, Some(Err(Error::Runtime))));
    assert_eq!(engine.idle().await.slots, 0);
    engine.stub.panics.store(false, Ordering::Relaxed);
    assert_eq!(engine.run(request(ddim(5, 0.0), 1, 3)).await.samples, unharmed);
}

#[tokio::test]
async fn a_program_that_panics_ends_its_own_request_and_the_others_keep_their_bits() {
    let good = request(ddim(20, 0.0), 1, 3);
    let alone = TestEngine::start(64).run(good.clone()).await.samples;
    let mut row = Row::at(0.0);
    row.mask = Mask::ReplaceXt;
    row.label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
    // It reads a known image that does not exist: the API refuses such programs.
    let bad = request(Program::new(vec![row]).unwrap(), 1, 5);

    let engine = TestEngine::start(64);
    let beside = engine.submit(good).await;
    let failed = engine.submit(bad).await;
    assert!(matches!(read(failed).await.end, Some(Err(Error::Runtime))));
    assert_eq!(read(beside).await.samples, alone);
    assert_eq!(engine.idle().await.slots, 0);
    assert_eq!(engine.admission.counts().requests, 0);
}

#[tokio::test]
async fn the_end_of_the_engines_thread_cancels_a_token() {
    let mut engine = TestEngine::start(1);
    let ended = engine.handle.as_ref().unwrap().ended();
    engine.run(request(ddim(5, 0.0), 1, 1)).await;
    assert!(!ended.is_cancelled());
    engine.handle = None;
    ended.cancelled().await;
}

#[tokio::test]
async fn time_inside_the_network_and_outside_it_are_counted_apart() {
    let engine = TestEngine::start(8);
    engine.run(request(ddim(50, 0.0), 1, 8)).await;
    let stats = engine.idle().await;
    assert!(stats.network > Duration::ZERO && stats.kernel > Duration::ZERO);
    assert!(stats.network + stats.kernel <= stats.active);
}

#[tokio::test]
async fn a_sample_that_is_not_finite_fails_alone() {
    let engine = TestEngine::start(8);
    let mut row = Row::at(0.0);
    // u overflows f32: times 1e6 in each row, without a clip.
    row.u = Mix { u: 1e6, ..Mix::ZERO };
    let rows = (1..=8)
        .map(|step| Row {
            label: Label { step, num_steps: 8, ends_step: true, noise_level: 0.0 },
            ..row.clone()
        })
        .collect();
    let answer = engine.run(request(Program::new(rows).unwrap(), 1, 2)).await;
    assert_eq!(answer.samples.len(), 2);
    assert!(answer.samples.values().all(Option::is_none));
}

#[tokio::test]
async fn guided_rows_call_the_network_twice_and_rows_without_evals_not_at_all() {
    let engine = TestEngine::start(8);
    let label = |step| Label { step, num_steps: 3, ends_step: true, noise_level: 0.0 };
    let mut guided = Row::at(10.0);
    guided.evals = Evals::Guided { scale: 2.0 };
    guided.u = Mix { f: 1.0, ..Mix::ZERO };
    guided.label = label(1);
    let mut silent = Row::at(0.0);
    silent.evals = Evals::Zero;
    silent.u = Mix { u: 3.0, ..Mix::ZERO };
    silent.label = label(2);
    let mut end = silent.clone();
    end.label = label(3);
    let mut labelled = request(Program::new(vec![guided, silent, end]).unwrap(), 5, 1);
    labelled.class_labels = vec![1];

    let answer = engine.run(labelled.clone()).await;
    assert_eq!(engine.stub.rows.load(Ordering::Relaxed), 2);
    assert_eq!(engine.stub.calls.load(Ordering::Relaxed), 1);
    assert_eq!((answer.account.evals, answer.account.ticks), (2, 3));

    let mut x_t = vec![0.0f32; LEN];
    Noise::new(5).normal(0, 0, &mut x_t);
    let got = answer.samples[&0].as_ref().unwrap();
    for (x, got) in x_t.iter().zip(got) {
        // The stub adds 0.01 times the label: 1, or 2 for no label, as there are two classes.
        let f = |label: f64| 0.5 * f64::from(*x) + 0.01 + 0.01 * label;
        let want = 9.0 * (2.0 * f(1.0) - f(2.0));
        assert!((f64::from(*got) - want).abs() < 1e-5, "{got} against {want}");
    }
}

#[tokio::test]
async fn an_aborted_engine_ends_every_stream_with_an_error() {
    let engine = TestEngine::start(1);
    let reader = engine.submit(request(ddpm(100), 1, 100_000)).await;
    engine.abort.cancel();
    assert!(matches!(read(reader).await.end, Some(Err(Error::Stopped))));
}

#[tokio::test]
async fn an_idle_engine_that_is_aborted_ends_although_requests_could_come() {
    let engine = TestEngine::start(4);
    engine.run(request(ddim(3, 0.0), 1, 1)).await;
    engine.idle().await;
    let handle = engine.handle.clone().unwrap();

    engine.abort.cancel();

    let ended = tokio::time::timeout(Duration::from_secs(60), handle.ended().cancelled_owned());
    ended.await.expect("the engine waits for requests forever");
}

#[tokio::test]
async fn samples_do_not_depend_on_the_batch_or_on_which_indices_are_requested() {
    let whole = TestEngine::start(16).run(request(ddpm(20), 4, 10)).await.samples;
    let mut part = request(ddpm(20), 4, 1);
    part.indices = Indices::new(vec![(7, 2), (3, 1)]).unwrap();
    let part = TestEngine::start(1).run(part).await.samples;
    assert_eq!(part.keys().copied().collect::<Vec<_>>(), [3, 7, 8]);
    assert!(part.iter().all(|(index, values)| whole[index] == *values));
}

#[tokio::test]
async fn samples_start_from_given_states_and_keep_the_known_pixels() {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row.mask = Mask::ReplaceXt;
    row.u = Mix { known: 2.0, ..Mix::ZERO };
    row.label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
    let mut given = request(Program::new(vec![row]).unwrap(), 1, 3);
    given.initial = Arc::new(Initial::States(vec![vec![1.0; LEN], vec![-1.0; LEN]]));
    let mask = vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    given.known = Some(Arc::new(KnownImage { image: vec![5.0; LEN], mask }));

    let answer = TestEngine::start(8).run(given).await;
    for (index, start) in [(0, 1.0), (1, -1.0), (2, 1.0)] {
        let want = vec![10.0, start, start, start, start, 10.0];
        assert_eq!(answer.samples[&index], Some(want));
    }
}

#[tokio::test]
async fn an_unconditional_row_runs_the_network_without_the_label() {
    let mut row = Row::at(0.0);
    row.evals = Evals::Unconditional;
    row.u = Mix { f: 1.0, ..Mix::ZERO };
    row.label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
    let mut unlabelled = request(Program::new(vec![row.clone()]).unwrap(), 1, 1);
    unlabelled.class_labels = vec![0];
    row.evals = Evals::One;
    let without = request(Program::new(vec![row]).unwrap(), 1, 1);
    let engine = TestEngine::start(8);
    assert_eq!(engine.run(unlabelled).await.samples, engine.run(without).await.samples);
}

/// A request that ends `after` this long.
fn due(program: Program, samples: u64, after: Duration, returns_finished: bool) -> Request {
    let at = Instant::now() + after;
    let deadline = Some(Deadline { at, returns_finished });
    Request { deadline, ..request(program, 1, samples) }
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_and_frees_its_slots() {
    let engine = TestEngine::start(4);
    let late = due(ddpm(100), 1 << 19, Duration::from_millis(30), false);
    let answer = engine.run(late).await;
    assert!(matches!(answer.end, Some(Err(Error::DeadlinePassed))), "{:?}", answer.end);
    let evals = engine.idle().await.evals;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(engine.stats().evals, evals);
}

#[tokio::test]
async fn what_is_done_by_the_deadline_is_returned_on_request() {
    let engine = TestEngine::start(4);
    let answer = engine.run(due(ddpm(100), 1 << 19, Duration::from_millis(200), true)).await;
    assert!(matches!(answer.end, Some(Ok(()))), "{:?}", answer.end);
    assert_eq!(answer.samples.len() as u64, answer.account.samples_done);
    assert!(answer.account.samples_done > 0);
    assert!(answer.account.samples_done < 1 << 19);
}

#[test]
fn what_is_finished_is_returned_a_little_before_the_deadline() {
    let accepted = Instant::now();
    for (allowed_ms, margin_ms) in [(10, 5), (100, 20), (10_000, 200), (100_000, 500)] {
        let allowed = Duration::from_millis(allowed_ms);
        let ends = core::last_moment(accepted, accepted + allowed);
        assert_eq!(accepted + allowed - ends, Duration::from_millis(margin_ms));
    }
}

#[tokio::test]
async fn the_engine_learns_what_calls_cost_and_estimates_the_end() {
    let engine = TestEngine::start(4);
    let answer = engine.run(request(ddpm(100), 1, 400)).await;
    assert!(answer.account.eta.is_some());
    let stats = engine.idle().await;
    // 10,000 calls of 4, at first believed to take 4 µs.
    let real = (stats.network + stats.kernel).as_secs_f64() / stats.ticks as f64;
    let demand = Demand {
        model: 0,
        samples: 4,
        evals: 4,
        priority: Priority::Normal,
        bytes: 0,
        deadline: None,
    };
    let principal = Principal::of_address([127, 0, 0, 1].into());
    let learnt = engine.admission.forecast(&principal, &demand).compute;
    assert!(learnt > 0.3 * real, "{learnt} {real}");
}
