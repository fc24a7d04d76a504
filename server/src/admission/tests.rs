use proptest::prelude::*;

use super::*;
use crate::cost::CostCurve;

/// Limits that nothing reaches, except where a test says so.
pub(crate) fn limits() -> Limits {
    Limits {
        max_samples: 1 << 20,
        max_evals: 1 << 40,
        max_watched_samples: 64,
        max_queued_samples: 1 << 20,
        max_requests: 64,
        max_request_bytes: 1 << 20,
        max_held_bytes: 1 << 40,
        max_principal_requests: 64,
        max_principal_samples: 1 << 20,
        max_principal_backlog: None,
        max_principal_evals: None,
        stall: Duration::from_secs(30),
    }
}

/// The address 127.0.0.`n`.
fn principal(n: u8) -> Principal {
    Principal::of_address([127, 0, 0, n].into())
}

/// Admission to a device on which each eval takes a tenth of a second.
fn admission(limits: Limits) -> Admission {
    Admission::new(limits, Costs::new(vec![CostCurve::linear(0.1, 8)]))
}

fn demand(samples: u64, evals: u64) -> Demand {
    let priority = Priority::Normal;
    Demand { model: 0, samples, evals, priority, bytes: 10, deadline: None }
}

/// Admits a request of a principal at a fixed time.
fn admit_at(
    admission: &Admission,
    of: u8,
    demand: Demand,
    now: Instant,
) -> Result<(Permit, Forecast), Error> {
    admission.admit(admission.hold(10)?, &principal(of), demand, now)
}

fn admit(admission: &Admission, of: u8, demand: Demand) -> Result<(Permit, Forecast), Error> {
    admit_at(admission, of, demand, Instant::now())
}

/// Returns the limit and the pause of a refusal for lack of room.
fn full<T: std::fmt::Debug>(result: Result<T, Error>) -> (u64, Duration) {
    match result {
        Err(Error::Full { limit, retry_after, .. }) => (limit, retry_after),
        other => panic!("{other:?}"),
    }
}

/// Returns what the quota is of, and the pause.
fn quota<T: std::fmt::Debug>(result: Result<T, Error>) -> (&'static str, Duration) {
    match result {
        Err(Error::Quota { what, retry_after, .. }) => (what, retry_after),
        other => panic!("{other:?}"),
    }
}

#[test]
fn samples_that_do_not_fit_are_refused_with_the_time_to_retry() {
    let admission = admission(Limits { max_queued_samples: 10, ..limits() });
    let (_permit, forecast) = admit(&admission, 1, demand(8, 40)).unwrap();
    assert_eq!(forecast.queue_position, 0);
    let pause = Duration::from_secs(4);
    assert_eq!(full(admit(&admission, 2, demand(3, 30))), (10, pause));
    let (_other, forecast) = admit(&admission, 2, demand(2, 100)).unwrap();
    assert_eq!(forecast.queue_position, 8);
    // 14 s of work: others may leave earlier.
    assert_eq!(full(admit(&admission, 2, demand(1, 1))).1, Duration::from_secs(10));
}

#[test]
fn a_request_larger_than_the_queue_is_admitted_if_it_is_alone() {
    let admission = admission(Limits { max_queued_samples: 10, ..limits() });
    let (permit, _) = admit(&admission, 1, demand(11, 11)).unwrap();
    assert_eq!(full(admit(&admission, 1, demand(1, 1))), (10, Duration::from_millis(1100)));
    drop(permit);
    assert!(admit(&admission, 1, demand(1, 1)).is_ok());
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    let admission = admission(Limits { max_requests: 2, ..limits() });
    let _permits = [1, 2].map(|of| admit(&admission, of, demand(1, 1)).unwrap());
    assert_eq!(full(admit(&admission, 3, demand(1, 1))), (2, Duration::from_secs(1)));
}

#[test]
fn requests_beyond_the_quota_are_refused_to_their_principal_alone() {
    let admission = admission(Limits { max_principal_requests: 2, ..limits() });
    let first = admit(&admission, 1, demand(1, 20)).unwrap();
    let _second = admit(&admission, 1, demand(1, 40)).unwrap();
    let refused = quota(admit(&admission, 1, demand(1, 1)));
    assert_eq!(refused, ("requests at once", Duration::from_secs(3)));
    let _other = admit(&admission, 2, demand(1, 1)).unwrap();
    drop(first);
    assert!(admit(&admission, 1, demand(1, 1)).is_ok());
}

#[test]
fn a_principal_cannot_fill_the_queue_of_the_others() {
    let admission = admission(Limits { max_principal_samples: 10, ..limits() });
    let (mut permit, _) = admit(&admission, 1, demand(8, 40)).unwrap();
    let (_other, _) = admit(&admission, 1, demand(2, 10)).unwrap();
    assert_eq!(quota(admit(&admission, 1, demand(1, 1))).0, "queued samples");
    assert!(admit(&admission, 2, demand(11, 11)).is_ok(), "it is alone");
    // Not reading frees nothing of the quota.
    permit.set_blocked(true);
    assert_eq!(quota(admit(&admission, 1, demand(1, 1))).0, "queued samples");
    permit.give_back(1, 5);
    assert!(admit(&admission, 1, demand(1, 1)).is_ok());
}

#[test]
fn however_full_the_queue_is_there_is_room_for_a_little_of_everyone() {
    let admission = admission(Limits { max_queued_samples: 640, ..limits() });
    let (_full, _) = admit(&admission, 1, demand(640, 640)).unwrap();
    let (_little, _) = admit(&admission, 2, demand(10, 10)).unwrap();
    assert_eq!(full(admit(&admission, 2, demand(1, 1))).0, 640);
    assert_eq!(full(admit(&admission, 3, demand(11, 11))).0, 640);
    assert!(admit(&admission, 3, demand(10, 10)).is_ok());
}

#[test]
fn rows_and_inputs_of_a_principal_hold_at_most_half_of_the_memory() {
    let admission = admission(Limits { max_held_bytes: 1000, ..limits() });
    let holding = |bytes| Demand { bytes, ..demand(1, 1) };
    let (_most, _) = admit(&admission, 1, holding(490)).unwrap();
    assert_eq!(quota(admit(&admission, 1, holding(11))).0, "bytes of rows and inputs");
    let (_rest, _) = admit(&admission, 1, holding(10)).unwrap();
    assert!(admit(&admission, 2, holding(480)).is_ok());
}

#[test]
fn a_backlog_beyond_the_quota_is_refused_until_enough_is_done() {
    let most = Some(Duration::from_secs(10));
    let admission = admission(Limits { max_principal_backlog: most, ..limits() });
    // More than the quota is admitted if it is alone.
    let (mut permit, _) = admit(&admission, 1, demand(1, 150)).unwrap();
    let refused = quota(admit(&admission, 1, demand(1, 10)));
    assert_eq!(refused, ("queued time of the device", Duration::from_secs(6)));
    assert!(admit(&admission, 2, demand(1, 150)).is_ok());
    permit.give_back(0, 60);
    assert!(admit(&admission, 1, demand(1, 10)).is_ok());
    assert!(admit(&admission, 1, demand(1, 11)).is_err());
}

#[test]
fn evals_beyond_the_quota_of_a_minute_are_refused_for_as_long_as_they_are() {
    let admission = admission(Limits { max_principal_evals: Some(600), ..limits() });
    let now = Instant::now();
    drop(admit_at(&admission, 1, demand(1, 600), now).unwrap());
    let refused = quota(admit_at(&admission, 1, demand(1, 50), now));
    assert_eq!(refused, ("evals per minute", Duration::from_secs(5)));
    let later = now + Duration::from_millis(4999);
    assert!(admit_at(&admission, 1, demand(1, 50), later).is_err());
    assert!(admit_at(&admission, 2, demand(1, 50), later).is_ok());
    assert!(admit_at(&admission, 1, demand(1, 50), now + Duration::from_secs(5)).is_ok());
}

#[test]
fn a_refused_request_spends_no_quota_and_holds_nothing() {
    let limits = Limits {
        max_principal_evals: Some(600),
        max_requests: 1,
        max_principal_requests: 1,
        ..limits()
    };
    let admission = admission(limits);
    let now = Instant::now();
    let permit = admit_at(&admission, 1, demand(1, 1), now).unwrap();
    for _ in 0..10 {
        assert!(admit_at(&admission, 2, demand(1, 600), now).is_err());
        assert!(admit_at(&admission, 1, demand(1, 600), now).is_err());
    }
    assert_eq!(admission.counts().bytes, 10);
    drop(permit);
    assert!(admit_at(&admission, 2, demand(1, 600), now).is_ok());
}

#[test]
fn a_draining_server_admits_nothing() {
    let admission = admission(limits());
    let room = admission.hold(10).unwrap();
    admission.drain();
    assert!(admission.counts().draining);
    assert!(matches!(admission.hold(0), Err(Error::Draining)));
    let late = admission.admit(room, &principal(1), demand(1, 1), Instant::now());
    assert!(matches!(late, Err(Error::Draining)));
    assert_eq!(admission.counts().bytes, 0);
}

#[test]
fn bytes_are_held_from_the_check_to_the_end_and_freed_on_refusal() {
    let admission = admission(Limits { max_held_bytes: 1000, ..limits() });
    let demand = Demand { bytes: 700, ..demand(1, 200) };
    let now = Instant::now();
    let room = admission.hold(400).unwrap();
    assert_eq!(admission.counts().bytes, 400);
    // The demand that the check found replaces the bytes held for the check.
    let (permit, _) = admission.admit(room, &principal(1), demand, now).unwrap();
    assert_eq!(admission.counts().bytes, 700);
    assert_eq!(full(admission.hold(301)), (1000, Duration::from_secs(10)));
    let room = admission.hold(300).unwrap();
    let larger = Demand { bytes: 301, ..demand };
    assert_eq!(full(admission.admit(room, &principal(1), larger, now)).0, 1000);
    assert_eq!(admission.counts().bytes, 700, "a refusal frees its bytes");
    drop(permit);
    assert_eq!(admission.counts().bytes, 0);
}

#[test]
fn a_small_request_is_admitted_while_the_memory_is_full() {
    let most = 1 << 20;
    let admission = admission(Limits { max_held_bytes: most, ..limits() });
    admission.memory().set_aside(most / SMALL_PART);
    let _full = admission.hold(most / SMALL_PART * (SMALL_PART - 1)).unwrap();
    let message = || admission.hold_small(admission.memory().small(principal(1))).unwrap();
    let now = Instant::now();
    let small = Demand { bytes: SMALL_BYTES, ..demand(1, 1) };
    let (permit, _) = admission.admit(message(), &principal(1), small, now).unwrap();
    assert_eq!(admission.counts().bytes, most / SMALL_PART * (SMALL_PART - 1) + SMALL_BYTES);
    drop(permit);
    let larger = Demand { bytes: SMALL_BYTES + 1, ..small };
    full(admission.admit(message(), &principal(1), larger, now));
    admission.drain();
    let late = admission.hold_small(admission.memory().small(principal(1)));
    assert!(matches!(late, Err(Error::Draining)));
}

#[test]
fn what_waits_for_readers_counts_as_held() {
    let admission = admission(limits());
    let unread = admission.memory().unread(30);
    let _room = admission.hold(12).unwrap();
    let counts = admission.counts();
    assert_eq!((counts.bytes, counts.reader_bytes), (42, 30));
    drop(unread);
    assert_eq!(admission.counts().reader_bytes, 0);
    // Half of the memory is for readers; an eighth of what is free of it for one.
    let admission = self::admission(Limits { max_held_bytes: 1600, ..limits() });
    let (permit, _) = admit(&admission, 1, demand(1, 1)).unwrap();
    let _unread = admission.memory().unread(400);
    assert_eq!(permit.reader_limit(), 50);
}

#[test]
fn finished_work_frees_its_places_and_its_seconds() {
    let admission = admission(limits());
    let (mut permit, _) = admit(&admission, 1, demand(4, 40)).unwrap();
    let (_other, _) = admit(&admission, 2, demand(1, 10)).unwrap();
    permit.give_back(1, 10);
    permit.give_back(0, 5);
    let counts = admission.counts();
    assert_eq!((counts.samples, counts.evals), (4, 35));
    assert!((counts.seconds - 3.5).abs() < 1e-9);
    assert_eq!((counts.requests, counts.principals), (2, 2));
    // More than it has is all that it has.
    permit.give_back(100, 1000);
    let counts = admission.counts();
    assert_eq!((counts.samples, counts.evals), (1, 10));
    drop(permit);
    assert_eq!(admission.counts().requests, 1);
}

#[test]
fn requests_whose_readers_are_behind_hold_no_queue() {
    let admission = admission(Limits { max_queued_samples: 10, ..limits() });
    let (mut slow, _) = admit(&admission, 1, demand(10, 100)).unwrap();
    assert!(admit(&admission, 2, demand(1, 1)).is_err());
    slow.set_blocked(true);
    slow.set_blocked(true);
    let counts = admission.counts();
    assert_eq!((counts.blocked, counts.samples, counts.evals), (1, 0, 100));
    let (_other, _) = admit(&admission, 2, demand(6, 6)).unwrap();
    slow.give_back(2, 20);
    slow.set_blocked(false);
    slow.set_blocked(false);
    let counts = admission.counts();
    assert_eq!((counts.blocked, counts.samples, counts.evals), (0, 14, 86));
    slow.set_blocked(true);
    drop(slow);
    let counts = admission.counts();
    assert_eq!((counts.blocked, counts.samples, counts.evals), (0, 6, 6));
}

#[test]
fn forecasts_follow_what_the_others_still_take() {
    let admission = admission(limits());
    let ask = |of, samples, evals| admission.forecast(&principal(of), &demand(samples, evals));
    let alone = ask(1, 4, 100);
    assert!((alone.eta - 10.0).abs() < 1e-9 && (alone.compute - 10.0).abs() < 1e-9);
    let (mut permit, at_admission) = admit(&admission, 1, demand(50, 500)).unwrap();
    assert!((at_admission.eta - 50.0).abs() < 1e-9);
    // Its own first second first, then equal shares.
    assert!((ask(1, 4, 100).eta - 19.0).abs() < 1e-9);
    assert!((ask(2, 4, 100).eta - 19.0).abs() < 1e-9);
    assert_eq!(ask(2, 4, 100).queue_position, 50);
    permit.give_back(45, 450);
    assert!((ask(2, 4, 100).eta - 15.0).abs() < 1e-9);
    assert!((permit.eta() - 5.0).abs() < 1e-9);
    permit.set_blocked(true);
    assert!((ask(2, 4, 100).eta - 10.0).abs() < 1e-9, "who is blocked takes nothing");
}

/// A demand that must be done so many seconds after `now`.
fn due(samples: u64, evals: u64, now: Instant, seconds: f64) -> Demand {
    let deadline = Some(now + Duration::from_secs_f64(seconds));
    Demand { deadline, ..demand(samples, evals) }
}

/// Returns the seconds that a request was said to need, and to have.
fn infeasible<T: std::fmt::Debug>(result: Result<T, Error>) -> (f64, f64) {
    match result {
        Err(Error::Infeasible { needed, available, .. }) => {
            (needed.as_secs_f64(), available.as_secs_f64())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_with_what_it_takes() {
    let admission = admission(limits());
    let now = Instant::now();
    // 9 s of work need 10: a tenth is not promised.
    assert!(admit_at(&admission, 1, due(1, 90, now, 10.01), now).is_ok());
    let (needed, available) = infeasible(admit_at(&admission, 1, due(1, 90, now, 9.99), now));
    assert!((needed - 10.0).abs() < 1e-6 && (available - 9.99).abs() < 1e-6);
}

#[test]
fn a_deadline_that_just_suffices_is_accepted() {
    let admission = admission(limits());
    let now = Instant::now();
    // 0.9 s of work in a second.
    assert!(admit_at(&admission, 1, due(1, 9, now, 1.0), now).is_ok());
    let (_late, _) = admit_at(&admission, 1, due(1, 4, now, 1.2), now).unwrap();
    assert!(admit_at(&admission, 1, due(1, 5, now, 1.1), now).is_ok());
    assert!(admit_at(&admission, 1, due(1, 6, now, 1.1), now).is_err());
}

#[test]
fn a_deadline_leaves_time_for_the_call_in_flight() {
    let curves = vec![CostCurve::linear(0.1, 8), CostCurve::linear(0.7, 8)];
    let admission = Admission::new(limits(), Costs::new(curves));
    let now = Instant::now();
    let asked = |seconds| due(1, 9, now, seconds);
    let slow = Demand { model: 1, ..demand(1, 1) };
    let (mut other, _) = admit_at(&admission, 1, slow, now).unwrap();
    // Half of the device, nine tenths of that, and the call of the other: 0.9 s need 2.7 s.
    let (needed, _) = infeasible(admit_at(&admission, 2, asked(2.69), now));
    assert!((needed - 2.7).abs() < 1e-6, "{needed}");
    assert!(admit_at(&admission, 2, asked(2.71), now).is_ok());
    // What waits for its reader is in no call.
    other.set_blocked(true);
    let later = now + Duration::from_secs(60);
    assert!(admit_at(&admission, 2, due(1, 9, later, 1.01), later).is_ok());
}

#[test]
fn work_that_is_due_later_is_not_pushed_out_of_a_share() {
    let admission = admission(limits());
    let now = Instant::now();
    let (_other, _) = admit_at(&admission, 2, demand(1, 1000), now).unwrap();
    // Half of the device, nine tenths of that, and a call: 0.9 s of work need 2.1 s.
    let (_late, _) = admit_at(&admission, 1, due(1, 4, now, 2.11), now).unwrap();
    let (early, _) = admit_at(&admission, 1, due(1, 5, now, 2.0), now).unwrap();
    drop(early);
    let (needed, available) = infeasible(admit_at(&admission, 1, due(1, 8, now, 2.0), now));
    assert!((needed - (1.2 * 2.0 / 0.9 + 0.1)).abs() < 1e-6 && (available - 2.11).abs() < 1e-6);
    assert!(admit_at(&admission, 1, due(1, 6, now, 2.0), now).is_err());
}

#[test]
fn work_that_is_due_earlier_counts_and_is_not_pushed_out() {
    let admission = admission(limits());
    let now = Instant::now();
    let (_early, _) = admit_at(&admission, 1, due(1, 45, now, 10.0), now).unwrap();
    // Both by the later deadline: 9 s in 10, and a call.
    assert!(admit_at(&admission, 1, due(1, 46, now, 10.11), now).is_err());
    let (_late, _) = admit_at(&admission, 1, due(1, 45, now, 10.11), now).unwrap();
    // It would be done in time itself, but push out the others.
    assert!(admit_at(&admission, 1, due(1, 9, now, 2.0), now).is_err());
    // What is due later leaves them their time.
    assert!(admit_at(&admission, 1, due(1, 80, now, 20.0), now).is_ok());
    // So does work without a deadline.
    assert!(admit_at(&admission, 1, demand(100, 1000), now).is_ok());
}

#[test]
fn a_principal_is_promised_its_share_beside_what_the_others_still_take() {
    let admission = admission(limits());
    let now = Instant::now();
    let (mut busy, _) = admit_at(&admission, 2, demand(1, 1000), now).unwrap();
    let (needed, _) = infeasible(admit_at(&admission, 1, due(1, 90, now, 20.0), now));
    assert!((needed - 20.1).abs() < 1e-6, "{needed}");
    assert!(admit_at(&admission, 1, due(1, 90, now, 20.2), now).is_ok());
    // After a minute without a new request, only what is left counts.
    busy.give_back(0, 980);
    let later = now + Duration::from_secs(60);
    let (needed, _) = infeasible(admit_at(&admission, 3, due(1, 90, later, 12.0), later));
    assert!((needed - (11.0 / 0.9 + 0.1)).abs() < 0.01, "{needed}");
}

#[test]
fn what_the_others_asked_for_lately_is_expected_again() {
    let admission = admission(limits());
    let now = Instant::now();
    // A second of work in five, done already.
    drop(admit_at(&admission, 2, demand(1, 10), now).unwrap());
    let asked = |seconds| due(1, 45, now, seconds);
    // 4.5 s of its own, and a fifth of the time for the other.
    let (needed, _) = infeasible(admit_at(&admission, 1, asked(6.0), now));
    assert!((needed - (4.5 + 1.2) / 0.9).abs() < 1e-6, "{needed}");
    assert!(admit_at(&admission, 1, asked(6.5), now).is_ok());
    // Five seconds later, it is expected at an e-th of that rate.
    let later = now + Duration::from_secs(5);
    let (needed, _) = infeasible(admit_at(&admission, 1, due(1, 45, later, 5.0), later));
    assert!((needed - (4.5 + (-1.0f64).exp()) / 0.9).abs() < 1e-6, "{needed}");
    // Who asked for next to nothing takes next to nothing.
    let admission = self::admission(limits());
    for other in 2..52 {
        drop(admit_at(&admission, other, demand(1, 1), now).unwrap());
    }
    let late = now + Duration::from_secs(30);
    assert!(admit_at(&admission, 1, due(1, 5, late, 0.7), late).is_ok());
}

#[test]
fn urgent_work_without_a_deadline_counts_against_deadlines() {
    let admission = admission(limits());
    let now = Instant::now();
    let (mut interactive, _) = {
        let demand = Demand { priority: Priority::Interactive, ..demand(1, 500) };
        admit_at(&admission, 1, demand, now).unwrap()
    };
    let (_normal, _) = admit_at(&admission, 1, demand(1, 500), now).unwrap();
    let batch = Demand { priority: Priority::Batch, ..demand(1, 500) };
    let (_batch, _) = admit_at(&admission, 1, batch, now).unwrap();
    // Ten seconds of the first, one of the second, none of the third, and its own.
    let (needed, _) = infeasible(admit_at(&admission, 1, due(1, 70, now, 19.9), now));
    assert!((needed - 20.1).abs() < 1e-6, "{needed}");
    interactive.set_blocked(true);
    assert!(admit_at(&admission, 1, due(1, 70, now, 9.0), now).is_ok());
}

#[test]
fn principals_are_forgotten_when_there_are_too_many_but_not_their_requests() {
    let admission = admission(Limits { max_principal_evals: Some(600), ..limits() });
    let now = Instant::now();
    let (_stays, _) = admit_at(&admission, 1, demand(1, 1), now).unwrap();
    for n in 0..10_000u32 {
        let name = Principal::of_address(n.to_be_bytes().into());
        let room = admission.hold(10).unwrap();
        drop(admission.admit(room, &name, demand(1, 600), now).unwrap());
        assert!(admission.lock().ledger.remembered() <= 4096);
    }
    assert_eq!(admission.counts().requests, 1);
    assert_eq!(admission.counts().samples, 1);
}

#[test]
fn principals_are_remembered_while_there_is_room() {
    let admission = admission(limits());
    (1..=10).for_each(|of| drop(admit(&admission, of, demand(1, 1)).unwrap()));
    assert_eq!(admission.lock().ledger.remembered(), 10);
}

#[test]
fn principals_that_have_requests_or_spent_quota_are_forgotten_last() {
    let admission = admission(Limits { max_principal_evals: Some(600), ..limits() });
    let now = Instant::now();
    let (busy, _) = admit_at(&admission, 1, demand(1, 0), now).unwrap();
    drop(admit_at(&admission, 2, demand(1, 600), now).unwrap());
    for n in 0..5000u32 {
        let name = Principal::of_address(n.to_be_bytes().into());
        let room = admission.hold(10).unwrap();
        drop(admission.admit(room, &name, demand(1, 0), now).unwrap());
    }
    assert!(admit_at(&admission, 2, demand(1, 1), now).is_err());
    assert_eq!(admission.counts().principals, 1);
    drop(busy);
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test]
async fn idle_waits_for_the_last_request() {
    let admission = admission(limits());
    let (permit, _) = admit(&admission, 1, demand(1, 1)).unwrap();
    let waiting = tokio::spawn({
        let admission = admission.clone();
        async move { admission.idle().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(permit);
    waiting.await.unwrap();
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_and_all_room_is_freed(
        requests in prop::collection::vec((1u8..4, 1u64..8, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let limits = Limits {
            max_queued_samples: 20,
            max_requests: 6,
            max_principal_requests: 3,
            ..limits()
        };
        let admission = admission(limits);
        let mut permits = Vec::new();
        for (of, size, keep, blocked) in requests {
            if let Ok((mut permit, _)) = admit(&admission, of, demand(size, size * 10)) {
                permit.set_blocked(blocked);
                permit.give_back(1, 10);
                permits.push(permit);
            }
            let counts = admission.counts();
            prop_assert!(counts.samples <= 20 && counts.requests <= 6);
            if !keep && !permits.is_empty() {
                permits.swap_remove(0);
            }
        }
        drop(permits);
        prop_assert_eq!(admission.counts(), Counts::default());
    }
}
