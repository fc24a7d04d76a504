//! Turns of the engine at times that the test chooses, on a stub network.

use ddpm_diffusion::{Evals, Label, Program, Row};

use super::*;
use crate::admission::tests::limits;
use crate::admission::{Admission, Demand, Limits};
use crate::cost::CostCurve;
use crate::outbox::{Account, Delivery, FrameKind, Reader, outbox};
use crate::principal::Principal;
use crate::request::{Indices, Initial, Watch};
use crate::runtime::stub::Stub;
use crate::scheduler::Priority;

const LEN: usize = 6;

/// A core whose time is that of the test, in seconds since its start.
struct Bench {
    core: Core,
    admission: Admission,
    stub: Stub,
    start: Instant,
}

impl Bench {
    /// * `points`: what calls cost by their size, in seconds.
    fn new(points: &[(u32, f64)]) -> Self {
        Self::with_memory(points, 1 << 40)
    }

    /// * `memory`: bytes that requests may hold; a sixteenth of it for one reader.
    fn with_memory(points: &[(u32, f64)], memory: u64) -> Self {
        let (stub, start) = (Stub::default(), Instant::now());
        let costs = Costs::new(vec![CostCurve::new(points)]);
        let device = Box::new(stub.device(LEN));
        let core = Core::new(device, costs.clone(), Arc::new(Stats::default()), start);
        let limits = Limits { max_held_bytes: memory, ..limits() };
        Self { core, admission: Admission::new(limits, costs), stub, start }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    /// Submits a request of the principal 127.0.0.`of`.
    fn submission(&self, of: u8, request: Request, seconds: f64) -> (Submission, Reader) {
        let accepted = self.at(seconds);
        let (outbox, reader) = outbox(Delivery::Latest, self.admission.memory());
        let (samples, evals) = (request.indices.len(), request.evals());
        let demand = Demand {
            model: 0,
            samples,
            evals,
            priority: Priority::Normal,
            bytes: 0,
            deadline: None,
        };
        let principal = Principal::of_address([127, 0, 0, of].into());
        let room = self.admission.hold(0).unwrap();
        let (permit, _) = self.admission.admit(room, &principal, demand, accepted).unwrap();
        (Submission { request, principal, outbox, permit, accepted }, reader)
    }

    fn accept(&mut self, of: u8, request: Request, seconds: f64) -> Reader {
        let (submission, reader) = self.submission(of, request, seconds);
        self.core.accept(submission);
        reader
    }

    fn turn(&mut self, seconds: f64) -> Turn {
        let now = self.at(seconds);
        self.core.turn(now)
    }
}

/// A request of samples that take these rows.
fn request(rows: Vec<Row>, samples: u64) -> Request {
    let program = Program::new(rows).unwrap();
    Request {
        request_id: String::new(),
        model: 0,
        program_digest: program.digest(),
        program: Arc::new(program),
        seed: 1,
        indices: Indices::new(vec![(0, samples)]).unwrap(),
        class_labels: vec![],
        initial: Arc::new(Initial::Noise),
        known: None,
        watch: None,
        priority: Priority::Normal,
        deadline: None,
    }
}

/// Rows that each end a step.
fn rows(count: u32) -> Vec<Row> {
    let label = |step| Label { step, num_steps: count, ends_step: true, noise_level: 0.0 };
    (1..=count).map(|step| Row { label: label(step), ..Row::at(0.0) }).collect()
}

fn called(evals: u32) -> Turn {
    Turn::Called { model: 0, evals }
}

#[test]
fn a_turn_says_what_it_did() {
    let mut bench = Bench::new(&[(1, 0.1), (2, 0.1)]);
    assert!(bench.core.is_idle());
    assert_eq!(bench.turn(0.0), Turn::Idle);
    let _reader = bench.accept(1, request(rows(2), 2), 0.0);
    assert_eq!(bench.turn(0.0), called(2));
    assert!(!bench.core.is_idle());
    assert_eq!(bench.turn(0.1), called(2));
    assert!(bench.core.is_idle());
    assert_eq!(bench.turn(0.2), Turn::Idle);
}

#[test]
fn a_core_whose_readers_are_all_behind_is_blocked_until_one_reads() {
    // One sample fills an outbox.
    let mut bench = Bench::with_memory(&[(1, 0.1)], 16 * 4 * LEN as u64);
    let mut reader = bench.accept(1, request(rows(1), 2), 0.0);
    assert_eq!(bench.turn(1.0), called(1));
    assert_eq!(bench.turn(2.0), Turn::Blocked);
    assert_eq!(bench.turn(4.0), Turn::Blocked);
    drop(reader.try_take().unwrap());
    assert_eq!(bench.turn(5.0), called(1));
    assert_eq!(reader.try_take().unwrap().account.blocked_time, Duration::from_secs(3));
}

#[test]
fn others_join_a_request_only_if_it_takes_three_quarters_longer_at_most() {
    for (four, late, evals) in [(0.087, 0.0, 4), (0.089, 0.0, 3), (0.087, 0.04, 2)] {
        let mut bench = Bench::new(&[(1, 0.05), (4, four)]);
        // Two rows: 0.1 s alone. Calls of 2 and 3 take a third and two thirds of the way to 4.
        let _first = bench.accept(1, request(rows(2), 1), 10.0);
        let others = Request { priority: Priority::Batch, ..request(rows(2), 5) };
        let _others = bench.accept(2, others, 10.0);
        assert_eq!(bench.turn(10.0 + late), called(evals), "{four} {late}");
    }
}

#[test]
fn the_account_says_when_samples_began_and_what_they_took() {
    let mut bench = Bench::new(&[(1, 0.1)]);
    let _before = bench.accept(1, request(rows(1), 1), 0.0);
    bench.turn(0.0);
    let before = bench.core.stats.read();
    let mut reader = bench.accept(1, request(rows(1), 2), 1.0);
    bench.turn(6.0);
    bench.turn(9.0);
    let stats = bench.core.stats.read();
    let got = reader.try_take().unwrap().account;
    let want = Account {
        samples_begun: 2,
        samples_done: 2,
        ticks: 2,
        evals: 2,
        first_tick: 2,
        last_tick: 3,
        queue_time: Duration::from_secs(5),
        compute_time: stats.network - before.network,
        blocked_time: Duration::ZERO,
        eta: got.eta,
    };
    assert_eq!(got, want);
}

#[test]
fn the_end_is_estimated_ten_times_a_second() {
    let mut bench = Bench::new(&[(1, 0.1)]);
    let mut reader = bench.accept(1, request(rows(1), 6), 0.0);
    for (seconds, want) in [(0.0, 0.5), (0.05, 0.5), (0.099, 0.5), (0.1, 0.2), (0.15, 0.2)] {
        bench.turn(seconds);
        let eta = reader.try_take().unwrap().account.eta.unwrap().as_secs_f64();
        assert!((eta - want).abs() < 1e-6, "{eta} at {seconds}");
    }
}

#[test]
fn a_sample_goes_through_its_rows_and_shows_x_t_at_the_scale_of_the_next() {
    let mut rows = rows(3);
    rows[1].c_in = 2.0;
    rows[1].evals = Evals::Guided { scale: 2.0 };
    rows[2].c_in = 4.0;
    let watch = Watch {
        indices: vec![0],
        x_0: true,
        x_t: true,
        every_steps: 1,
        delivery: Delivery::Latest,
    };
    let bench = Bench::new(&[(1, 0.1)]);
    let watched = Request { watch: Some(watch), ..request(rows, 1) };
    let (submission, _reader) = bench.submission(1, watched, 0.0);
    let mut job = Job::new(submission);
    job.begun(0, 7, 0, bench.start);
    let (pick, mut parcels) = (Pick { job: 0, sample: 0, begins: true }, Parcels::default());
    let seen = |job: &Job| {
        let work = job.work(&pick);
        assert_eq!((work.slot, work.show_x_0), (7, true));
        (work.position, work.show_x_t, work.last)
    };
    assert_eq!(seen(&job), (0, Some(2.0), false));
    let shown = Outcome { x_t: Some(vec![1.0]), ..Outcome::default() };
    assert_eq!(job.advance(0, shown, &mut parcels), Some(2));
    assert_eq!(seen(&job), (1, Some(4.0), false));
    assert_eq!(job.advance(0, Outcome::default(), &mut parcels), Some(1));
    assert_eq!(seen(&job), (2, Some(1.0), true));
    let done = Outcome { sample: Some(vec![3.0]), ..Outcome::default() };
    assert_eq!(job.advance(0, done, &mut parcels), None);
    assert_eq!((parcels.evals, job.account.evals, job.account.samples_done), (4, 4, 1));
    let frames: Vec<_> = parcels.frames.iter().map(|frame| (frame.kind, frame.step)).collect();
    assert_eq!(frames, [(FrameKind::XT, 1)]);
    assert_eq!(parcels.finished[0].values, Some(vec![3.0]));
}

#[test]
fn a_measurement_goes_on_after_a_call_and_ends_with_one_that_fails() {
    let mut bench = Bench::new(&[(1, 0.1)]);
    let mut calibration = Calibration::new(Some(1));
    assert!(bench.core.measure(0, &mut calibration));
    assert_eq!(bench.stub.calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    bench.stub.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(!bench.core.measure(0, &mut calibration));
}

#[test]
fn calls_that_took_longer_than_believed_correct_the_cost() {
    let bench = Bench::new(&[(1, 0.1)]);
    let believed = || bench.core.costs.with(0, |curve| curve.seconds(1));
    let before = believed();
    bench.core.learn(0, 1, Duration::from_millis(110));
    assert!((1.001 * before..0.11).contains(&believed()), "{}", believed());
}
