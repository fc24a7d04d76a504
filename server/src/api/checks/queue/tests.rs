//! The queue, simulated: time is an input.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn principal(number: u8) -> Principal {
    Principal::of_address([127, 0, 0, number].into())
}

fn push(queue: &mut CheckQueue, now: f64, who: u8, rows: u64) -> Ticket {
    queue.push(now, &principal(who), rows).unwrap().ticket
}

#[test]
fn a_small_check_starts_while_large_ones_fill_the_lanes() {
    let mut queue = CheckQueue::new(1);
    let large = push(&mut queue, 0.0, 1, 100_000);
    assert_eq!(queue.start(), Some(large));
    push(&mut queue, 0.0, 1, 100_000);
    let small = push(&mut queue, 0.0, 2, SMALL_ROWS);
    assert_eq!(queue.start(), Some(small));
    push(&mut queue, 0.0, 2, SMALL_ROWS);
    assert_eq!(queue.start(), None, "the lane for small checks holds one");
}

#[test]
fn a_check_with_one_row_too_many_is_not_small() {
    let mut queue = CheckQueue::new(1);
    push(&mut queue, 0.0, 1, 100_000);
    assert!(queue.start().is_some());
    push(&mut queue, 0.0, 2, SMALL_ROWS + 1);
    assert_eq!(queue.start(), None);
}

#[test]
fn the_principal_with_the_least_time_goes_first() {
    let mut queue = CheckQueue::new(1);
    let first = push(&mut queue, 0.0, 1, 5000);
    queue.start();
    let again = push(&mut queue, 0.0, 1, 3000);
    let other = push(&mut queue, 0.0, 2, 90_000);
    queue.finish(1.0, first, 1.0);
    assert_eq!(queue.start(), Some(other), "larger, and its principal took nothing so far");
    queue.finish(1.5, other, 0.5);
    let third = push(&mut queue, 1.5, 2, 100);
    assert_eq!(queue.start(), Some(third), "half a second is less than one");
    queue.finish(2.2, third, 0.7);
    assert_eq!(queue.start(), Some(again));
}

#[test]
fn what_a_check_took_counts_and_not_what_was_estimated() {
    let mut queue = CheckQueue::new(1);
    let cheap = push(&mut queue, 0.0, 1, 100_000);
    queue.start();
    queue.finish(0.001, cheap, 0.001);
    let dear = push(&mut queue, 0.001, 2, 10);
    queue.start();
    push(&mut queue, 0.001, 2, 10);
    let next = push(&mut queue, 0.001, 1, 100_000);
    queue.finish(0.501, dear, 0.5);
    assert_eq!(queue.start(), Some(next));
}

#[test]
fn what_runs_is_charged_by_its_estimate_until_it_ends() {
    let mut queue = CheckQueue::new(2);
    let first = push(&mut queue, 0.0, 1, 5000);
    assert_eq!(queue.start(), Some(first));
    let (own, other) = (push(&mut queue, 0.0, 1, 5000), push(&mut queue, 0.0, 2, 5000));
    assert_eq!(queue.start(), Some(other), "the other has nothing that runs");
    // Half a second that was taken is more than what 5,000 rows should take.
    queue.finish(0.5, first, 0.5);
    let next = push(&mut queue, 0.5, 2, 5000);
    assert_eq!(queue.start(), Some(next));
    queue.finish(1.5, other, 1.0);
    assert_eq!(queue.start(), Some(own));
}

#[test]
fn a_large_check_goes_before_small_ones_that_come_much_later() {
    let mut queue = CheckQueue::new(1);
    let running = push(&mut queue, 0.0, 1, 5000);
    queue.start();
    let large = push(&mut queue, 0.0, 1, 100_000);
    let soon = push(&mut queue, 0.001, 1, 5000);
    let late = push(&mut queue, 1e6, 1, 5000);
    queue.finish(1e6, running, 0.1);
    for expected in [soon, large, late] {
        assert_eq!(queue.start(), Some(expected));
        queue.finish(1e6, expected, 0.1);
    }
}

#[test]
fn an_estimate_that_is_far_too_high_buys_no_precedence() {
    let mut queue = CheckQueue::new(2);
    let own = [push(&mut queue, 0.0, 1, u64::MAX), push(&mut queue, 0.0, 1, u64::MAX)];
    for ticket in own {
        assert_eq!(queue.start(), Some(ticket));
    }
    // Its line is never idle.
    let next = push(&mut queue, 0.002, 1, 5000);
    for ticket in own {
        queue.finish(0.002, ticket, 0.001);
    }
    assert_eq!(queue.start(), Some(next));
    push(&mut queue, 0.002, 1, 5000);
    queue.finish(0.003, next, 0.001);
    let running = push(&mut queue, 0.003, 3, 5000);
    assert_eq!(queue.start(), Some(running));
    let other = push(&mut queue, 0.003, 2, 5000);
    assert_eq!(queue.start(), Some(other), "it took nothing, the first took 3 ms");
}

#[test]
fn within_a_principal_the_smallest_goes_first_until_a_larger_one_has_waited() {
    let mut queue = CheckQueue::new(1);
    let running = push(&mut queue, 0.0, 1, 1);
    queue.start();
    let large = push(&mut queue, 0.0, 1, 40_000);
    let small = push(&mut queue, 1.9, 1, 1000);
    let late = push(&mut queue, 2.1, 1, 1000);
    queue.finish(2.1, running, 2.0);
    let mut order = Vec::new();
    while let Some(ticket) = queue.start() {
        order.push(ticket);
        queue.finish(2.1, ticket, 0.0);
    }
    assert_eq!(order, [small, large, late], "a second outweighs 20,000 rows");
}

#[test]
fn a_principal_with_many_checks_gets_what_one_with_few_gets() {
    let mut queue = CheckQueue::new(1);
    let (mut time, mut now) = ([0.0; 3], 0.0);
    for _ in 0..200 {
        push(&mut queue, now, 1, 5000);
    }
    push(&mut queue, now, 2, 5000);
    for _ in 0..100 {
        let ticket = queue.start().unwrap();
        let who = usize::from(queue.checks[&ticket].principal == principal(2)) + 1;
        let seconds = if who == 1 { 0.01 } else { 0.03 };
        now += seconds;
        time[who] += seconds;
        if who == 2 {
            push(&mut queue, now, 2, 5000);
        }
        queue.finish(now, ticket, seconds);
    }
    assert!((time[1] - time[2]).abs() <= 0.04, "{time:?}");
}

#[test]
fn one_principal_may_fill_its_line_and_no_more() {
    let mut queue = CheckQueue::new(1);
    for _ in 0..MAX_WAITING_EACH {
        push(&mut queue, 0.0, 1, 10);
    }
    let refused = queue.push(0.0, &principal(1), 10).unwrap_err();
    assert_eq!(refused, Refused::Principal { max: MAX_WAITING_EACH });
    push(&mut queue, 0.0, 2, 10);
    queue.start();
    let one_left = queue.waiting() - 1;
    assert_eq!(one_left, MAX_WAITING_EACH - 1);
    assert!(queue.push(0.0, &principal(1), 10).is_ok());
}

#[test]
fn a_full_queue_takes_a_newcomer_in_place_of_the_last_of_the_longest_line() {
    let mut queue = CheckQueue::new(1);
    for who in 1..=4 {
        for _ in 0..MAX_WAITING_EACH {
            push(&mut queue, 0.0, who, 10);
        }
    }
    assert_eq!(queue.waiting(), MAX_WAITING);
    let newcomer = queue.push(0.0, &principal(5), 10).unwrap();
    assert!(newcomer.displaced.is_some());
    assert_eq!(queue.waiting(), MAX_WAITING);
    // Once everybody has the same, nobody gives way.
    let mut even = CheckQueue::new(1);
    for who in 1..=8 {
        for _ in 0..MAX_WAITING / 8 {
            push(&mut even, 0.0, who, 10);
        }
    }
    let refused = even.push(0.0, &principal(1), 10).unwrap_err();
    assert_eq!(refused, Refused::All { max: MAX_WAITING });
}

#[test]
fn a_caller_that_leaves_frees_its_place() {
    let mut queue = CheckQueue::new(1);
    let gone = push(&mut queue, 0.0, 1, 10);
    queue.cancel(0.0, gone);
    assert_eq!((queue.waiting(), queue.start()), (0, None));
    let runs = push(&mut queue, 0.0, 1, 5000);
    queue.start();
    queue.cancel(0.0, runs);
    push(&mut queue, 0.0, 1, 5000);
    assert_eq!(queue.start(), None, "work that runs keeps its lane");
    queue.finish(1.0, runs, 1.0);
    assert!(queue.start().is_some());
}

#[test]
fn what_a_principal_took_is_forgiven_with_time_and_then_forgotten() {
    let mut queue = CheckQueue::new(1);
    let ticket = push(&mut queue, 0.0, 1, 10);
    queue.start();
    queue.finish(2.0, ticket, 2.0);
    assert_eq!(queue.principals.len(), 1);
    let other = push(&mut queue, 3.9, 2, 10);
    assert_eq!(queue.principals.len(), 2, "it still owes a tenth of a second");
    queue.cancel(4.1, other);
    assert!(queue.principals.is_empty());
}

proptest! {
    #[test]
    fn every_check_starts_once_or_is_cancelled_and_lanes_are_kept(
        lanes in 1usize..4,
        steps in prop::collection::vec((0u8..4, 0u8..6, 0u64..6000, 0.0f64..0.3), 1..300),
    ) {
        let mut queue = CheckQueue::new(lanes);
        let (mut waiting, mut running) = (BTreeSet::new(), BTreeSet::new());
        let mut now = 0.0;
        for (step, who, rows, seconds) in steps {
            now += seconds;
            match step {
                0 | 1 => {
                    waiting.insert(push(&mut queue, now, who, rows));
                }
                2 => {
                    if let Some(ticket) = waiting.pop_last() {
                        queue.cancel(now, ticket);
                    }
                }
                _ => {
                    if let Some(ticket) = running.pop_first() {
                        queue.finish(now, ticket, seconds);
                    }
                }
            }
            while let Some(ticket) = queue.start() {
                prop_assert!(waiting.remove(&ticket));
                running.insert(ticket);
            }
            prop_assert_eq!(queue.waiting(), waiting.len());
            prop_assert!(running.len() <= lanes + 1);
            prop_assert!(waiting.is_empty() || running.len() >= lanes, "a lane idles");
        }
        while let Some(ticket) = running.pop_first() {
            queue.finish(now, ticket, 0.01);
            while let Some(ticket) = queue.start() {
                prop_assert!(waiting.remove(&ticket));
                running.insert(ticket);
            }
        }
        prop_assert!(waiting.is_empty() && queue.checks.is_empty());
        let later = queue.push(now + 1e6, &principal(9), 1).unwrap().ticket;
        queue.cancel(now + 1e6, later);
        prop_assert!(queue.principals.is_empty());
    }
}
