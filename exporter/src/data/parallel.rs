//! Independent work on all cores, with the results in order.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// Computes `work(0)`, …, `work(count - 1)` on all cores; the result does not depend on how many there are.
pub(super) fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    // Not knowing the number of cores costs time, never a result.
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let share = count.div_ceil(workers).max(1);
    thread::scope(|scope| {
        let start = |begin: usize| {
            let (work, end) = (&work, (begin + share).min(count));
            scope.spawn(move || (begin..end).map(work).collect::<Vec<T>>())
        };
        let running: Vec<_> = (0..count).step_by(share).map(start).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_count() {
        for count in [0, 1, 2, 3, 17, 1000] {
            assert_eq!(map(count, |i| i * i), (0..count).map(|i| i * i).collect::<Vec<_>>());
        }
    }
}
