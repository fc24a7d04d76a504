//! Measures what rows take and which of two forms is faster, whatever else the machine does: the
//! least seconds of several calls count.

use crate::Error;

/// Numbers of rows that are timed.
pub(crate) const SIZES: [usize; 2] = [1, 8];
/// Most rows that are timed.
pub(crate) const MOST_ROWS: usize = SIZES[1];
/// Time to compare two forms, in seconds, unless fewer than the least rounds fit into it.
const TIME: f64 = 0.15;
/// Fewest rounds that count, so that a busy machine does not decide.
const MIN_ROUNDS: u32 = 4;
/// Most rounds that count.
const MAX_ROUNDS: u32 = 100;
/// What the better form may take of the other's time, summed over the sizes.
const GAIN: f64 = 0.95;
/// Seconds of work that are worth waking another thread.
const WAKE: f64 = 1e-4;
/// Time to measure what a row takes, in seconds, unless fewer than two calls fit into it.
const ROW_TIME: f64 = 0.02;
/// Most calls of either size for that.
const MAX_CALLS: u32 = 20;
/// Seconds of a row from which a network is large.
const LARGE: f64 = 0.01;

/// Returns whether a network is so large that its operators use the cores well, and that comparing
/// forms would take seconds.
///
/// * `time`: calls it on one row and returns the seconds.
pub(crate) fn is_large(mut time: impl FnMut() -> Result<f64, Error>) -> Result<bool, Error> {
    // The first call finds cold caches.
    for _ in 0..3 {
        if time()? < LARGE {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the fewest rows for which it is worth waking another thread.
///
/// * `time`: calls one lane on a number of rows and returns the seconds.
pub(crate) fn grain(mut time: impl FnMut(usize) -> Result<f64, Error>) -> Result<usize, Error> {
    let (mut best, mut spent) = ([f64::INFINITY; 2], 0.0);
    for call in 0..MAX_CALLS {
        if call >= 2 && spent >= ROW_TIME {
            break;
        }
        for (best, rows) in best.iter_mut().zip(SIZES) {
            let seconds = time(rows)?;
            spent += seconds;
            *best = best.min(seconds);
        }
    }
    let row = (best[1] - best[0]) / (SIZES[1] - SIZES[0]) as f64;
    // A row may seem to take no time, or less than none.
    Ok((WAKE / row.max(1e-9)).ceil() as usize)
}

/// One of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// One session on the pool that all graphs share.
    Shared,
    /// A session per thread.
    Lanes,
}

/// The least seconds of calls on either number of rows, by form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds {
    /// On the pool that all graphs share.
    pub(crate) shared: [f64; 2],
    /// Divided among lanes.
    pub(crate) lanes: [f64; 2],
}

impl Seconds {
    /// Returns whether lanes are worth it.
    pub(crate) fn favour_lanes(&self) -> bool {
        sum(self.lanes) <= GAIN * sum(self.shared)
    }
}

fn sum(seconds: [f64; 2]) -> f64 {
    seconds.into_iter().sum()
}

/// Compares the two forms. They take turns, so that what else the machine does meets both.
///
/// * `time`: calls a form on a number of rows and returns the seconds.
pub(crate) fn compare(
    mut time: impl FnMut(Side, usize) -> Result<f64, Error>,
) -> Result<Seconds, Error> {
    let infinite = [f64::INFINITY; 2];
    let (mut best, mut spent) = (Seconds { shared: infinite, lanes: infinite }, 0.0);
    for round in 0..=MAX_ROUNDS {
        if round > MIN_ROUNDS && spent >= TIME {
            break;
        }
        for (size, rows) in SIZES.into_iter().enumerate() {
            let (shared, lanes) = (time(Side::Shared, rows)?, time(Side::Lanes, rows)?);
            spent += shared + lanes;
            // The first round finds cold caches.
            if round > 0 {
                best.shared[size] = best.shared[size].min(shared);
                best.lanes[size] = best.lanes[size].min(lanes);
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_of_several_rounds_counts_and_the_first_does_not() {
        let mut calls = 0;
        let best = compare(|side, rows| {
            calls += 1;
            let round = (calls - 1) / 4;
            Ok(match (round, side, rows) {
                (0, ..) => 1e-9,
                (3, Side::Shared, 1) => 1e-3,
                (2, _, 8) => 5e-3,
                _ => 20e-3,
            })
        });
        let want = Seconds { shared: [1e-3, 5e-3], lanes: [20e-3, 5e-3] };
        assert_eq!(best.unwrap(), want);
    }

    #[test]
    fn a_comparison_ends_after_its_time_but_not_before_its_least_rounds() {
        let rounds = |seconds| {
            let mut calls = 0;
            let count = |_, _| {
                calls += 1;
                Ok(seconds)
            };
            compare(count).unwrap();
            calls / 4
        };
        // 4 calls of 5 ms a round: 8 rounds, of which 7 count.
        assert_eq!(rounds(5e-3), 8);
        assert_eq!(rounds(50e-3), 1 + MIN_ROUNDS);
        assert_eq!(rounds(1e-6), 1 + MAX_ROUNDS);
    }

    #[test]
    fn lanes_are_worth_it_from_a_gain_of_5_percent_over_both_sizes() {
        let favoured = |lanes| Seconds { shared: [2.0, 8.0], lanes }.favour_lanes();
        assert!(favoured([2.5, 7.0]));
        assert!(!favoured([2.5, 7.1]));
        assert!(!favoured([1.0, 9.0]));
    }

    #[test]
    fn a_network_is_large_if_no_call_of_three_takes_less_than_10_ms() {
        let large = |millis: [f64; 3]| {
            let mut calls = millis.into_iter();
            is_large(|| Ok(1e-3 * calls.next().unwrap())).unwrap()
        };
        assert!(large([10.0, 11.0, 12.0]));
        assert!(!large([30.0, 11.0, 9.9]));
        assert!(!large([9.9, 0.0, 0.0]));
    }

    #[test]
    fn shares_take_a_tenth_of_a_millisecond_or_more() {
        // A call takes 0.2 ms, and each row another 30 µs, or 2 ms, or nothing.
        let with = |row: f64| grain(|rows| Ok(2e-4 + row * rows as f64)).unwrap();
        assert_eq!(with(30e-6), 4);
        assert_eq!(with(2e-3), 1);
        assert!(with(0.0) > 1_000);
    }

    #[test]
    fn what_a_row_takes_is_measured_twice_at_least_and_for_20_ms() {
        let calls = |seconds| {
            let mut calls = 0;
            let count = |_| {
                calls += 1;
                Ok(seconds)
            };
            grain(count).unwrap();
            calls
        };
        assert_eq!(calls(1.0), 2 * 2);
        assert_eq!(calls(3e-3), 2 * 4);
        assert_eq!(calls(1e-6), 2 * MAX_CALLS);
    }
}
