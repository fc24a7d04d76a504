use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// The address 127.0.0.`n`.
fn principal(n: u8) -> Principal {
    Principal::of_address([127, 0, 0, n].into())
}

/// A request that should be done at once, so that others join it only for free.
fn entry(samples: u64) -> Entry {
    Entry {
        model: 0,
        samples,
        evals_per_sample: 1000,
        first_cost: 1,
        priority: Priority::Normal,
        target: Duration::ZERO,
        has_deadline: false,
    }
}

/// A scheduler on models with a cost, and the evals that each request was given.
struct Device {
    scheduler: Scheduler,
    curves: Vec<CostCurve>,
    /// Seconds since the start.
    now: f64,
    given: HashMap<JobId, u64>,
    seconds: HashMap<JobId, f64>,
}

impl Device {
    /// On which a call takes the same time whatever its size, up to `batch` evals.
    fn flat(batch: u32) -> Self {
        Self::with(vec![CostCurve::flat(0.001, batch)])
    }

    /// On which each eval takes a millisecond.
    fn linear() -> Self {
        Self::with(vec![CostCurve::linear(0.001, 16)])
    }

    fn with(curves: Vec<CostCurve>) -> Self {
        let scheduler = Scheduler::default();
        Self { scheduler, curves, now: 0.0, given: HashMap::new(), seconds: HashMap::new() }
    }

    fn add(&mut self, job: JobId, of: u8, entry: Entry) {
        self.scheduler.add(job, &principal(of), entry);
    }

    fn plan(&mut self) -> Option<Plan> {
        self.scheduler.plan(Duration::from_secs_f64(self.now), &self.curves)
    }

    /// Runs a call whose samples go on for ever; returns the jobs of its picks.
    fn call(&mut self) -> Vec<JobId> {
        let plan = self.plan().expect("something can advance");
        let size = plan.picks.len() as u32;
        let seconds = self.curves[plan.model].seconds(size);
        self.now += seconds;
        for pick in &plan.picks {
            self.scheduler.advanced(*pick, Some(1));
            *self.given.entry(pick.job).or_default() += 1;
            *self.seconds.entry(pick.job).or_default() += seconds / f64::from(size);
        }
        plan.picks.iter().map(|pick| pick.job).collect()
    }

    /// Runs calls for some seconds of the device, and counts anew.
    fn run(&mut self, seconds: f64) {
        self.given.clear();
        self.seconds.clear();
        let end = self.now + seconds;
        while self.now < end {
            self.call();
        }
    }

    fn seconds_of(&self, jobs: impl IntoIterator<Item = JobId>) -> f64 {
        jobs.into_iter().filter_map(|job| self.seconds.get(&job)).sum()
    }
}

/// Runs each sample of a job for `rows[job]` rows until all are done; returns the
/// picks of each call.
fn run(device: &mut Device, rows: &HashMap<JobId, u64>) -> Vec<Vec<Pick>> {
    let mut done: HashMap<(JobId, u64), u64> = HashMap::new();
    let mut calls = Vec::new();
    while let Some(plan) = device.plan() {
        // Reported from the last to the first: the order does not matter.
        for pick in plan.picks.iter().rev() {
            let count = done.entry((pick.job, pick.sample)).or_default();
            *count += 1;
            let next = (*count < rows[&pick.job]).then_some(1);
            device.scheduler.advanced(*pick, next);
        }
        calls.push(plan.picks);
    }
    calls
}

#[test]
fn three_requests_of_different_lengths_share_calls() {
    let mut device = Device::flat(8);
    (0..3).for_each(|job| device.add(job, job as u8, entry(1)));
    let calls = run(&mut device, &HashMap::from([(0, 10), (1, 25), (2, 4)]));
    assert_eq!(calls.len(), 25);
    assert_eq!(calls[0].len(), 3);
    assert!(device.scheduler.is_empty());
}

#[test]
fn samples_of_a_request_advance_oldest_first_and_are_counted() {
    let mut device = Device::flat(2);
    device.add(0, 1, entry(3));
    assert_eq!(device.scheduler.counts(), (3, 0));
    let samples = |plan: &Plan| plan.picks.iter().map(|pick| pick.sample).collect::<Vec<_>>();
    let first = device.plan().unwrap();
    assert_eq!(samples(&first), [0, 1]);
    assert_eq!(device.scheduler.counts(), (1, 2));
    device.scheduler.advanced(first.picks[1], Some(1));
    device.scheduler.advanced(first.picks[0], Some(1));
    let second = device.plan().unwrap();
    assert_eq!(samples(&second), [0, 1]);
    assert!(second.picks.iter().all(|pick| !pick.begins));
    device.scheduler.advanced(second.picks[0], None);
    device.scheduler.advanced(second.picks[1], Some(1));
    let third = device.plan().unwrap();
    assert_eq!(samples(&third), [1, 2]);
    assert_eq!([third.picks[0].begins, third.picks[1].begins], [false, true]);
    third.picks.iter().for_each(|pick| device.scheduler.advanced(*pick, None));
    assert!(device.scheduler.is_empty());
}

#[test]
fn a_request_holds_no_more_samples_than_one_call_takes() {
    let mut device = Device::flat(8);
    device.add(0, 1, entry(1000));
    for _ in 0..100 {
        device.call();
        assert_eq!(device.scheduler.counts(), (992, 8));
    }
}

#[test]
fn a_sample_beside_ten_thousand_is_alone_where_batches_gain_nothing() {
    for of in [1, 2] {
        let mut device = Device::linear();
        device.add(0, 1, entry(10_000));
        device.run(10.0);
        device.add(1, of, entry(1));
        for _ in 0..50 {
            assert_eq!(device.call(), [1], "principal {of}");
        }
    }
}

#[test]
fn a_sample_beside_ten_thousand_shares_calls_that_take_no_longer_for_it() {
    let mut device = Device::flat(8);
    device.add(0, 1, entry(10_000));
    device.run(10.0);
    device.add(1, 2, entry(1));
    for _ in 0..50 {
        let jobs = device.call();
        assert_eq!((jobs[0], jobs.len()), (1, 8));
    }
}

#[test]
fn others_join_an_urgent_request_only_while_it_is_in_time() {
    // Two evals take 1.5 times as long as one.
    let curve = CostCurve::new(&[(1, 0.010), (2, 0.015), (4, 0.025)]);
    assert_eq!(curve.bulk(), 4);
    for (target, size) in [(1.0, 1), (1.6, 2), (2.6, 4), (0.5, 1)] {
        let mut device = Device::with(vec![curve.clone()]);
        device.add(0, 1, entry(10_000));
        device.run(10.0);
        // A hundred evals: a second alone.
        let target = Duration::from_secs_f64(device.now + target);
        device.add(1, 2, Entry { evals_per_sample: 100, target, ..entry(1) });
        let jobs = device.call();
        assert_eq!((jobs[0], jobs.len()), (1, size));
    }
}

#[test]
fn calls_of_a_fixed_size_are_filled_whoever_waits() {
    let mut device = Device::with(vec![CostCurve::linear(0.001, 4).fixed(Some(6))]);
    device.add(0, 1, entry(10_000));
    device.run(10.0);
    device.add(1, 2, entry(1));
    let jobs = device.call();
    assert_eq!((jobs[0], jobs.len()), (1, 6));
}

#[test]
fn many_urgent_requests_share_calls_of_the_best_size() {
    let curve = CostCurve::new(&[(1, 0.010), (2, 0.015), (4, 0.025)]);
    let mut device = Device::with(vec![curve]);
    (0..9).for_each(|job| device.add(job, 1, entry(1)));
    assert_eq!(device.call().len(), 4);
}

#[test]
fn two_principals_get_the_same_whatever_their_numbers_of_requests() {
    for mut device in [Device::linear(), Device::flat(8)] {
        device.add(0, 1, entry(100_000));
        (1..=200).for_each(|job| device.add(job, 2, entry(1000)));
        device.run(3.0);
        device.run(20.0);
        let (one, many) = (device.seconds_of([0]), device.seconds_of(1..=200));
        assert!((one / many - 1.0).abs() < 0.02, "{one} {many}");
    }
}

#[test]
fn the_requests_of_a_principal_share_equally_after_their_first_second() {
    let mut device = Device::linear();
    (0..4).for_each(|job| device.add(job, 1, entry(1000)));
    device.run(10.0);
    device.run(20.0);
    for job in 0..4 {
        let seconds = device.seconds_of([job]);
        assert!((seconds - 5.0).abs() < 0.05, "{seconds}");
    }
}

#[test]
fn a_principal_below_its_share_goes_first_and_takes_no_more_than_it_asks_for() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1_000_000));
    device.run(10.0);
    let begin = device.now;
    // Another principal asks for 50 ms in each 250 ms.
    for job in 1..=100 {
        device.add(job, 2, entry(1));
        for _ in 0..50 {
            assert_eq!(device.call(), [job]);
        }
        device.scheduler.remove(job);
        device.run(0.2);
    }
    assert!((device.now - begin - 25.0).abs() < 0.1);
}

#[test]
fn a_principal_over_its_share_does_not_go_first() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1_000_000));
    device.run(10.0);
    // A stream of short requests that would take all of the device.
    let (mut short, mut total) = (0.0, 0.0);
    for job in 1..600 {
        device.add(job, 2, entry(1));
        device.given.clear();
        while device.given.get(&job).copied().unwrap_or(0) < 50 {
            let before = device.now;
            let jobs = device.call();
            if job > 200 {
                total += device.now - before;
                short += if jobs[0] == job { device.now - before } else { 0.0 };
            }
        }
        device.scheduler.remove(job);
    }
    assert!((short / total - 0.5).abs() < 0.02, "{}", short / total);
}

#[test]
fn short_requests_leave_a_fifth_to_the_long_ones_of_their_principal() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1_000_000));
    device.run(10.0);
    let (mut long, mut total) = (0, 0);
    for job in 1..300 {
        device.add(job, 1, entry(1));
        let mut given = 0;
        while given < 50 {
            let jobs = device.call();
            given += jobs.iter().filter(|other| **other == job).count();
            if job > 100 {
                long += jobs.iter().filter(|other| **other == 0).count();
                total += jobs.len();
            }
        }
        device.scheduler.remove(job);
    }
    let share = long as f64 / total as f64;
    assert!((0.18..0.52).contains(&share), "{share}");
}

#[test]
fn interactive_requests_go_before_normal_ones_and_batch_ones_last() {
    let mut device = Device::linear();
    let with = |priority| Entry { priority, ..entry(1) };
    device.add(0, 1, with(Priority::Batch));
    device.add(1, 1, with(Priority::Normal));
    device.add(2, 1, with(Priority::Interactive));
    assert_eq!(device.call(), [2]);
    device.scheduler.remove(2);
    assert_eq!(device.call(), [1]);
    device.scheduler.remove(1);
    assert_eq!(device.call(), [0]);
}

#[test]
fn a_batch_request_waits_for_half_a_minute_of_others_and_no_longer() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1000));
    device.add(1, 1, Entry { priority: Priority::Batch, ..entry(1000) });
    device.run(29.0);
    assert_eq!(device.given.get(&1), None);
    device.run(3.0);
    device.run(20.0);
    assert!((device.seconds_of([1]) - 10.0).abs() < 0.1, "{:?}", device.seconds);
}

#[test]
fn priorities_take_nothing_from_other_principals() {
    let mut device = Device::linear();
    device.add(0, 1, Entry { priority: Priority::Interactive, ..entry(1000) });
    device.add(1, 2, Entry { priority: Priority::Batch, ..entry(1000) });
    device.run(5.0);
    device.run(20.0);
    assert!((device.seconds_of([0]) - 10.0).abs() < 0.1, "{:?}", device.seconds);
}

#[test]
fn the_earliest_deadline_of_a_principal_goes_first() {
    let mut device = Device::linear();
    let due =
        |seconds| Entry { target: Duration::from_secs(seconds), has_deadline: true, ..entry(1) };
    device.add(0, 1, due(30));
    device.add(1, 1, due(10));
    device.add(2, 1, due(20));
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(device.call()[0]);
        device.scheduler.remove(order[order.len() - 1]);
    }
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn a_request_with_a_deadline_stays_urgent() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1000));
    device.run(5.0);
    let target = Duration::from_secs(100);
    device.add(1, 1, Entry { target, has_deadline: true, ..entry(1000) });
    device.run(10.0);
    device.run(10.0);
    // Four fifths first, and half of the rest.
    let share = device.seconds_of([1]) / 10.0;
    assert!((0.79..0.92).contains(&share), "{share}");
}

#[test]
fn a_request_whose_reader_is_behind_waits_and_does_not_catch_up() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1));
    device.add(1, 1, entry(1));
    device.run(4.0);
    device.scheduler.set_ready(0, false);
    device.run(10.0);
    assert_eq!(device.given.get(&0), None);
    device.scheduler.set_ready(0, true);
    device.scheduler.set_ready(0, true);
    device.run(1.0);
    assert!((device.seconds_of([0]) - 0.5).abs() < 0.01, "{:?}", device.seconds);
}

#[test]
fn a_principal_that_was_away_does_not_catch_up() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1000));
    device.add(1, 2, entry(1000));
    device.run(10.0);
    device.scheduler.set_ready(1, false);
    device.run(10.0);
    device.scheduler.set_ready(1, true);
    // Its credit lets it go first for a while, which is paid back.
    device.run(1.0);
    assert!(device.seconds_of([1]) > 0.9, "{:?}", device.seconds);
    device.run(13.0);
    let seconds = device.seconds_of([1]);
    assert!((5.9..6.6).contains(&seconds), "{seconds}");
    device.run(10.0);
    assert!((device.seconds_of([1]) - 5.0).abs() < 0.1, "{:?}", device.seconds);
}

#[test]
fn nothing_can_advance_if_every_reader_is_behind() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1));
    device.scheduler.set_ready(0, false);
    assert_eq!(device.plan(), None);
    assert_eq!(device.scheduler.counts(), (1, 0));
    device.scheduler.set_ready(0, true);
    assert_eq!(device.call(), [0]);
    device.scheduler.remove(0);
    device.scheduler.remove(0);
    assert_eq!(device.plan(), None);
}

/// The nanoseconds by which a row of one eval moves a clock within a call of `Device::flat(8)`.
const ROW_OF_ONE: Nanos = 1_062_500;

#[test]
fn principals_take_turns_within_a_call_once_they_have_had_the_same() {
    let mut device = Device::flat(8);
    device.add(0, 1, entry(100));
    device.add(1, 2, entry(100));
    // The second was given two and a half rows more.
    device.scheduler.principals.get_mut(&principal(2)).unwrap().virtual_time = ROW_OF_ONE * 5 / 2;
    assert_eq!(device.call(), [0, 0, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn requests_of_a_principal_take_turns_within_a_call_once_they_have_had_the_same() {
    let mut device = Device::flat(8);
    (0..2).for_each(|job| device.add(job, 1, Entry { priority: Priority::Batch, ..entry(100) }));
    device.scheduler.jobs.get_mut(&1).unwrap().virtual_time += ROW_OF_ONE * 5 / 2;
    assert_eq!(device.call(), [0, 0, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn the_time_of_a_call_is_divided_by_the_evals_of_its_rows() {
    let mut device = Device::flat(8);
    device.add(0, 1, Entry { first_cost: 2, ..entry(1) });
    device.add(1, 2, entry(1));
    device.plan().unwrap();
    // 8 ms for three evals in two rows; a row weighs a sixteenth of an eval.
    for (of, weight) in [(1, 2.0625), (2, 1.0625)] {
        let got = device.scheduler.principals[&principal(of)].virtual_time;
        assert!(got.abs_diff(nanos(0.008 * weight / 3.125)) <= 1, "principal {of}: {got}");
    }
}

#[test]
fn a_principal_whose_samples_were_all_in_calls_does_not_catch_up() {
    let mut device = Device::flat(8);
    device.add(0, 1, entry(100_000));
    device.add(1, 2, entry(1));
    // It asks for an eighth, so it owes nothing and is owed nothing.
    device.run(20.0);
    device.add(2, 2, entry(100_000));
    device.run(10.0);
    // Half, and what the credit of a second allows.
    let seconds = device.seconds_of([1, 2]);
    assert!((5.0..6.5).contains(&seconds), "{seconds}");
}

#[test]
fn who_waits_for_a_reader_has_no_part_in_what_others_earn() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1000));
    device.add(1, 2, entry(1000));
    device.scheduler.set_ready(1, false);
    let has_credit = |device: &Device| device.scheduler.principals[&principal(1)].credit.is_left();
    // Alone it earns four fifths of what it is given, so a second of credit lasts for five.
    device.run(4.9);
    assert!(has_credit(&device));
    device.run(0.2);
    assert!(!has_credit(&device));
}

#[test]
fn a_request_is_alone_for_as_long_as_its_samples_side_by_side_take() {
    // Up to four at a time; four take 2.5 times as long as one.
    let curve = CostCurve::new(&[(1, 0.010), (2, 0.015), (4, 0.025), (8, 0.1)]);
    assert_eq!(curve.bulk(), 4);
    let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
    close(alone(&curve, 100, 1), 1.0);
    close(alone(&curve, 100, 2), 0.75);
    close(alone(&curve, 100, 4), 0.625);
    close(alone(&curve, 100, 50), 0.625);
    close(alone(&curve, 100, 0), 1.0);

    // Of four samples, one has begun: as long as for four.
    let entry = Entry { evals_per_sample: 25, target: Duration::from_secs(10), ..entry(4) };
    let mut job = Job::new(principal(1), entry, 0);
    job.take();
    close(job.stretch(Duration::from_secs(5), &curve), 5.0 / 0.625);
    job.charge(0, 20);
    close(job.stretch(Duration::from_secs(5), &curve), 5.0 / 0.5);
    close(job.stretch(Duration::from_secs(11), &curve), 0.0);
}

#[test]
fn others_may_make_a_call_of_urgent_samples_as_long_as_those_allow_but_no_longer() {
    // Two evals take 1.5 times as long as one, four three times.
    let curve = CostCurve::new(&[(1, 0.0625), (2, 0.09375), (4, 0.1875)]);
    assert_eq!(curve.bulk(), 2);
    let joins = |stretch| {
        let mut call = Call::new(&curve);
        call.put_in(1, Some(stretch)) && call.put_in(1, None)
    };
    assert!(joins(1.5));
    assert!(!joins(1.499));
    assert!(joins(f64::INFINITY));
    // The least of several counts.
    let curve = CostCurve::new(&[(1, 0.0625), (2, 0.09375), (4, 0.125)]);
    let joins = |first, second, third| {
        let mut call = Call::new(&curve);
        [first, second, third].map(|stretch| call.put_in(1, stretch))
    };
    assert_eq!(joins(Some(9.0), Some(1.1), None), [true, true, false]);
    assert_eq!(joins(Some(1.1), Some(9.0), None), [true, true, false]);
    assert_eq!(joins(Some(9.0), None, None), [true; 3]);
}

#[test]
fn what_urgent_samples_allow_follows_from_the_evals_of_all_of_them() {
    // A call takes 10 ms and 1 ms for each eval.
    let sizes = [1, 2, 4, 6, 8, 16, 32, 64];
    let curve = CostCurve::new(&sizes.map(|size| (size, 0.010 + 0.001 * f64::from(size))));
    let mut call = Call::new(&curve);
    assert!(call.put_in(2, Some(1.2)) && call.put_in(2, Some(1.2)));
    // Four evals take 14 ms, and may take 16.8: six take 16, and seven take 17.
    assert!(call.put_in(2, None));
    assert!(!call.put_in(1, None));
}

#[test]
fn guided_rows_cost_two_and_always_fit_alone() {
    let guided = Entry { first_cost: 2, ..entry(4) };
    for (batch, picks) in [(5, 2), (4, 2), (1, 1)] {
        let mut device = Device::flat(batch);
        device.add(0, 1, guided);
        assert_eq!(device.plan().unwrap().picks.len(), picks);
    }
}

#[test]
fn rows_without_an_eval_fill_a_call_and_are_charged_a_little() {
    let mut device = Device::flat(4);
    device.add(0, 1, Entry { first_cost: 0, ..entry(10) });
    assert_eq!(device.plan().unwrap().picks.len(), 4);
    let share = &device.scheduler.principals[&principal(1)];
    // Four sixteenths of a call of one.
    assert_eq!(share.virtual_time, 4 * nanos(0.004 / 16.0));
}

#[test]
fn two_models_never_share_a_call_and_share_the_time_of_the_device() {
    let mut device = Device::with(vec![CostCurve::linear(0.1, 8), CostCurve::linear(0.001, 8)]);
    device.add(0, 1, entry(1000));
    device.add(1, 2, Entry { model: 1, ..entry(1000) });
    device.run(20.0);
    device.run(50.0);
    let (slow, fast) = (device.seconds_of([0]), device.seconds_of([1]));
    assert!((slow / fast - 1.0).abs() < 0.05, "{slow} {fast}");
}

#[test]
fn samples_that_are_reported_in_any_order_advance_oldest_first() {
    let mut device = Device::flat(4);
    device.add(0, 1, entry(4));
    let picks = device.plan().unwrap().picks;
    for sample in [2, 0, 3, 1] {
        device.scheduler.advanced(picks[sample], Some(1));
    }
    let next: Vec<u64> = device.plan().unwrap().picks.iter().map(|pick| pick.sample).collect();
    assert_eq!(next, [0, 1, 2, 3]);
}

#[test]
fn what_a_call_takes_is_earned_in_equal_parts_by_all_that_could_advance() {
    let mut device = Device::flat(1);
    let (one, other) = (principal(1), principal(2));
    device.add(0, 1, entry(1));
    device.add(1, 2, entry(1));
    let mut credits = [Credit::default(); 2];
    for _ in 0..7 {
        let [job] = device.call()[..] else { panic!("calls have one sample") };
        credits.iter_mut().for_each(|credit| credit.earn(500_000));
        credits[job as usize].spend(1_000_000);
        let of = |principal| device.scheduler.principals[principal].credit;
        assert_eq!([of(&one), of(&other)], credits);
    }
}

#[test]
fn the_clock_is_where_the_last_pick_of_a_call_began() {
    let mut device = Device::flat(4);
    device.add(0, 1, entry(4));
    device.call();
    // The call takes four milliseconds, one for each sample.
    assert_eq!(device.scheduler.clock, 3_000_000);
    assert_eq!(device.scheduler.principals[&principal(1)].clock, 3_000_000);
}

#[test]
fn requests_go_on_however_many_principals_are_forgotten() {
    let mut device = Device::flat(1);
    device.add(0, 0, entry(1));
    // Each has used credit, so none is forgotten before there are too many.
    for number in 1..=REMEMBERED as u32 {
        let principal = Principal::of_address((number << 8).to_be_bytes().into());
        device.scheduler.add(JobId::from(number), &principal, entry(1));
        device.scheduler.principals.get_mut(&principal).unwrap().credit.spend(1_000_000);
        device.scheduler.remove(JobId::from(number));
    }
    device.add(9999, 2, entry(1));
    assert!(device.scheduler.principals.len() < 10);
    assert!(device.scheduler.principals.contains_key(&principal(0)), "it has a request");
}

#[test]
fn principals_that_left_are_forgotten_when_there_are_too_many() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1000));
    let name = |n: u32| Principal::of_address(n.to_be_bytes().into());
    for n in 0..2 * REMEMBERED as u32 {
        device.scheduler.add(1, &name(n), entry(1));
        device.scheduler.remove(1);
        assert!(device.scheduler.principals.len() <= REMEMBERED);
    }
    assert!(device.scheduler.principals.contains_key(&principal(1)));
    assert_eq!(device.call(), [0]);
}

#[test]
fn principals_that_left_are_remembered_until_their_credit_is_full() {
    let mut device = Device::linear();
    device.add(100, 100, entry(1_000_000));
    device.run(5.0);
    device.add(1, 1, entry(1));
    device.run(0.5);
    device.scheduler.remove(1);
    device.add(101, 101, entry(1));
    assert!(device.scheduler.principals.contains_key(&principal(1)));
    device.run(5.0);
    device.add(102, 102, entry(1));
    assert!(!device.scheduler.principals.contains_key(&principal(1)));
}

#[test]
fn principals_that_used_credit_are_forgotten_last_but_forgotten() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1));
    device.call();
    device.scheduler.remove(0);
    let name = |n: u32| Principal::of_address(n.to_be_bytes().into());
    let come_and_go = |device: &mut Device, n| {
        device.scheduler.add(1, &name(n), entry(1));
        device.scheduler.remove(1);
    };
    (0..REMEMBERED as u32).for_each(|n| come_and_go(&mut device, n));
    assert!(device.scheduler.principals.contains_key(&principal(1)));
    for n in 0..2 * REMEMBERED as u32 {
        come_and_go(&mut device, n);
        device.scheduler.principals.get_mut(&name(n)).unwrap().credit.spend(1);
        assert!(device.scheduler.principals.len() <= REMEMBERED);
    }
}

#[test]
fn leaving_and_coming_back_renews_no_credit() {
    let mut device = Device::linear();
    device.add(0, 1, entry(1_000_000));
    device.add(1, 2, entry(1_000_000));
    device.run(10.0);
    device.scheduler.remove(1);
    device.add(2, 2, entry(1_000_000));
    device.run(2.0);
    assert!((device.seconds_of([2]) - 1.0).abs() < 0.01, "{:?}", device.seconds);
}

proptest! {
    #[test]
    fn every_sample_gets_exactly_its_rows_and_no_call_is_too_large(
        jobs in prop::collection::vec((1u64..20, 1u64..8, 0u8..3), 1..8),
        limit in 1u32..10,
    ) {
        let mut device = Device::flat(limit);
        let mut rows = HashMap::new();
        for (id, (samples, length, of)) in (0..).zip(&jobs) {
            device.add(id, *of, entry(*samples));
            rows.insert(id, *length);
        }
        let calls = run(&mut device, &rows);
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
        for (id, (samples, length, _)) in (0..).zip(&jobs) {
            for sample in 0..*samples {
                prop_assert_eq!(seen.get(&(id, sample)), Some(length));
            }
        }
        prop_assert!(device.scheduler.is_empty());
    }
}
