//! Who is asked when: the plan becomes requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;

use crate::load::call::Call;
use crate::load::mix::{Planned, Reader};
use crate::load::record::{Outcome, Record};

/// Sends every request when it was planned, over the channels in turn; returns the records in the
/// order of the plan once all of them have ended.
pub async fn open_loop(channels: &[Channel], plan: &[Planned]) -> Vec<Record> {
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for (number, (planned, channel)) in plan.iter().zip(channels.iter().cycle()).enumerate() {
        let from = start + planned.at;
        sleep_until(from).await;
        let call = Call::new(channel.clone(), planned.clone(), from);
        calls.spawn(async move { (number, call.run().await) });
    }
    in_order(calls.join_all().await)
}

/// In which order requests that wait in the generator are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    Arrival,
    /// The one with the fewest evals first: the best that whole requests allow for goodput.
    LeastWork,
}

/// Sends requests as a server that runs whole requests would take them: at most `at_once` of them
/// are at the server, the others wait here.
///
/// Such a server looks into a request only when it is its turn; a client that leaves while it
/// waits is passed over.
pub async fn whole_requests(
    channels: &[Channel],
    plan: &[Planned],
    at_once: usize,
    order: Order,
) -> Vec<Record> {
    let start = Instant::now();
    let (arrived, mut waiting) = mpsc::unbounded_channel();
    let arrivals: Vec<_> = plan.iter().map(|planned| planned.at).collect();
    tokio::spawn(async move {
        for (number, at) in arrivals.into_iter().enumerate() {
            sleep_until(start + at).await;
            // The receiver lives until it has seen every number.
            let _ = arrived.send(number);
        }
    });
    let slots = Arc::new(Semaphore::new(at_once));
    let (mut queue, mut calls, mut open) = (BinaryHeap::new(), JoinSet::new(), true);
    while open || !queue.is_empty() {
        if queue.is_empty() {
            match waiting.recv().await {
                Some(number) => queue.push(place(plan, number, order)),
                None => open = false,
            }
            continue;
        }
        let Ok(slot) = slots.clone().acquire_owned().await else { break };
        while let Ok(number) = waiting.try_recv() {
            queue.push(place(plan, number, order));
        }
        let Some(Reverse((_, number))) = queue.pop() else { continue };
        let planned = plan[number].clone();
        let channel = channels[number % channels.len()].clone();
        calls.spawn(async move {
            let record = turn(channel, planned, start).await;
            drop(slot);
            (number, record)
        });
    }
    in_order(calls.join_all().await)
}

async fn turn(channel: Channel, mut planned: Planned, start: Instant) -> Record {
    let from = start + planned.at;
    if let Reader::Leaves(after) = planned.reader {
        let left = after.saturating_sub(from.elapsed());
        planned.reader = Reader::Leaves(left);
        if left.is_zero() {
            let mut record = Call::new(channel, planned, from).unsent();
            record.outcome = Outcome::Left;
            return record;
        }
    }
    Call::new(channel, planned, from).run().await
}

fn place(plan: &[Planned], number: usize, order: Order) -> Reverse<(u64, usize)> {
    Reverse(match order {
        Order::Arrival => (0, number),
        Order::LeastWork => (plan[number].shape.evals(), number),
    })
}

fn in_order(mut records: Vec<(usize, Record)>) -> Vec<Record> {
    records.sort_by_key(|(number, _)| *number);
    records.into_iter().map(|(_, record)| record).collect()
}
