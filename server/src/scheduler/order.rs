//! The order in which requests may put samples into a call.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::job::{Job, Priority};
use super::{JobId, Nanos, Share};
use crate::principal::Principal;

/// The principals that can advance something, and the requests of each.
#[derive(Debug)]
pub(super) struct Order {
    /// (uses up its share, virtual time, place in `queues`), the least on top.
    principals: BinaryHeap<Reverse<(bool, Nanos, usize)>>,
    queues: Vec<BinaryHeap<Reverse<Place>>>,
}

/// A request's place among those of its principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// By priority, then by the time at which it should be done.
    Urgent(Priority, Duration, JobId),
    /// By virtual time.
    Fair(Nanos, JobId),
}

/// The request that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) job: JobId,
    pub(super) is_urgent: bool,
}

impl Order {
    pub(super) fn new(jobs: &BTreeMap<JobId, Job>, shares: &BTreeMap<Principal, Share>) -> Self {
        let mut principals = BinaryHeap::with_capacity(shares.len());
        let mut queues = Vec::new();
        for share in shares.values().filter(|share| share.is_active()) {
            let may_be_urgent = share.urgent.is_left();
            let ready = share.ready.iter().filter_map(|id| Some((*id, jobs.get(id)?)));
            let ready = ready.filter(|(_, job)| job.next_cost().is_some());
            let queue: BinaryHeap<_> =
                ready.map(|(id, job)| Reverse(place(id, job, may_be_urgent))).collect();
            if !queue.is_empty() {
                let key = (!share.credit.is_left(), share.virtual_time, queues.len());
                principals.push(Reverse(key));
                queues.push(queue);
            }
        }
        Self { principals, queues }
    }

    /// Returns the request that is next; `None` if no more can advance.
    pub(super) fn first(&self) -> Option<Next> {
        let Reverse((_, _, queue)) = self.principals.peek()?;
        let Reverse(place) = self.queues[*queue].peek()?;
        let (job, is_urgent) = match place {
            Place::Urgent(_, _, job) => (*job, true),
            Place::Fair(_, job) => (*job, false),
        };
        Some(Next { job, is_urgent })
    }

    /// Leaves out the request that is next.
    pub(super) fn skip(&mut self) {
        let Some(Reverse(key)) = self.principals.pop() else { return };
        let queue = &mut self.queues[key.2];
        queue.pop();
        if !queue.is_empty() {
            self.principals.push(Reverse(key));
        }
    }

    /// Charges the request that is next, and its principal, for a row.
    pub(super) fn charge(&mut self, part: Nanos) {
        let Some(mut principal) = self.principals.peek_mut() else { return };
        let Reverse((_, of_principal, queue)) = &mut *principal;
        *of_principal += part;
        if let Some(mut place) = self.queues[*queue].peek_mut()
            && let Reverse(Place::Fair(of_request, _)) = &mut *place
        {
            *of_request += part;
        }
    }
}

fn place(id: JobId, job: &Job, may_be_urgent: bool) -> Place {
    match may_be_urgent && job.is_urgent() {
        true => Place::Urgent(job.priority, job.target, id),
        false => Place::Fair(job.virtual_time, id),
    }
}
