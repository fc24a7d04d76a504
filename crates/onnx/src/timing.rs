//! Measures which of two forms is faster, whatever else the machine does: the least seconds of
//! several calls count. A machine whose cores are taken by others hides what lanes gain; that shows
//! because they take much longer than the largest share does alone.

use crate::Error;

/// Numbers of rows that are timed.
pub(crate) const SIZES: [usize; 2] = [1, 8];
/// Most rows that are timed.
pub(crate) const MOST_ROWS: usize = SIZES[1];
/// Time to compare two forms, in seconds, unless fewer than the least rounds fit into it.
const TIME: f64 = 0.15;
/// Fewest rounds that count, so that a busy machine does not decide.
const MIN_ROUNDS: u32 = 8;
/// Most rounds that count.
const MAX_ROUNDS: u32 = 100;
/// What lanes may take of the shared pool's time, summed over the sizes.
const GAIN: f64 = 0.95;
/// The same on a busy machine, where neither form gets the cores that it could use later. It is
/// more than 1 because networks that are not large are faster in lanes as a rule.
const BUSY_GAIN: f64 = 1.25;
/// What lanes take of the time of the largest share alone if the machine is busy.
const BUSY: f64 = 1.4;
/// Seconds of work that are worth waking another thread.
const WAKE: f64 = 1e-4;
/// Numbers of rows that are timed in one lane: calls so short that others rarely interrupt them.
const LANE_SIZES: [usize; 2] = [1, 4];
/// Time to measure what one lane takes, in seconds, unless fewer than the least calls fit into it.
const ROW_TIME: f64 = 0.02;
/// Fewest calls of either size for that.
const MIN_CALLS: u32 = 6;
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

/// What one lane takes, whatever the other cores do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OneLane {
    /// Seconds of a call of one row.
    first: f64,
    /// Seconds of each further row.
    further: f64,
}

impl OneLane {
    /// Measures it.
    ///
    /// * `time`: calls one lane on a number of rows and returns the seconds.
    pub(crate) fn measure(
        mut time: impl FnMut(usize) -> Result<f64, Error>,
    ) -> Result<Self, Error> {
        let (mut best, mut spent) = ([f64::INFINITY; 2], 0.0);
        for call in 0..MAX_CALLS {
            if call >= MIN_CALLS && spent >= ROW_TIME {
                break;
            }
            for (best, rows) in best.iter_mut().zip(LANE_SIZES) {
                let seconds = time(rows)?;
                spent += seconds;
                *best = best.min(seconds);
            }
        }
        let further = (best[1] - best[0]) / (LANE_SIZES[1] - LANE_SIZES[0]) as f64;
        // On a busy machine further rows may seem to take more than the first, or nothing.
        Ok(Self { first: best[0], further: further.min(best[0]).max(1e-9) })
    }

    /// Returns the fewest rows for which it is worth waking another thread.
    pub(crate) fn grain(&self) -> usize {
        (WAKE / self.further).ceil() as usize
    }

    /// Returns the seconds of a call of one row or more.
    pub(crate) fn seconds(&self, rows: usize) -> f64 {
        self.first + self.further * (rows - 1) as f64
    }
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
    ///
    /// * `alone`: seconds of the largest share of the most rows, if nothing else runs.
    /// * `lanes`: lanes that take a share of them.
    pub(crate) fn favour_lanes(&self, alone: f64, lanes: usize) -> bool {
        let slowdown = self.lanes[1] / alone;
        // Lanes slow each other down, but one after another they would take no longer than this:
        // others had the cores, and nothing was learned.
        if slowdown > lanes.max(2) as f64 {
            return true;
        }
        let gain = if slowdown > BUSY { BUSY_GAIN } else { GAIN };
        sum(self.lanes) <= gain * sum(self.shared)
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
        // 4 calls of 3 ms a round: 13 rounds, of which 12 count.
        assert_eq!(rounds(3e-3), 13);
        assert_eq!(rounds(50e-3), 1 + MIN_ROUNDS);
        assert_eq!(rounds(1e-6), 1 + MAX_ROUNDS);
    }

    #[test]
    fn lanes_are_worth_it_from_a_gain_of_5_percent_over_both_sizes() {
        let favoured = |lanes| Seconds { shared: [2.0, 8.0], lanes }.favour_lanes(6.0, 2);
        assert!(favoured([2.5, 7.0]));
        assert!(!favoured([2.5, 7.1]));
        assert!(!favoured([1.6, 8.0]));
    }

    #[test]
    fn lanes_that_slow_each_other_down_may_lose_25_percent() {
        let favoured = |lanes| Seconds { shared: [2.0, 8.0], lanes }.favour_lanes(6.0, 2);
        assert!(favoured([2.0, 10.5]));
        assert!(!favoured([2.0, 10.6]));
        // Up to 1.4 times as slow as alone, they may not.
        assert!(!favoured([2.0, 8.3]));
    }

    #[test]
    fn lanes_that_take_longer_than_one_after_another_are_favoured() {
        let favoured =
            |lanes, count| Seconds { shared: [2.0, 5.0], lanes }.favour_lanes(6.0, count);
        assert!(favoured([2.0, 12.1], 2));
        assert!(!favoured([2.0, 11.9], 2));
        assert!(!favoured([2.0, 12.1], 3));
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
        let with = |row: f64| OneLane::measure(|rows| Ok(2e-4 + row * rows as f64)).unwrap();
        assert_eq!(with(30e-6).grain(), 4);
        assert_eq!(with(2e-3).grain(), 1);
        assert!(with(0.0).grain() > 1_000);
        assert!((with(2e-3).seconds(4) - 8.2e-3).abs() < 1e-12);
        // The longer calls were interrupted.
        let busy = OneLane::measure(|rows| Ok(if rows == 1 { 2e-3 } else { 24e-3 })).unwrap();
        assert!((busy.seconds(4) - 8e-3).abs() < 1e-12);
    }

    #[test]
    fn one_lane_is_measured_six_times_at_least_and_for_20_ms() {
        let calls = |seconds| {
            let mut calls = 0;
            let count = |_| {
                calls += 1;
                Ok(seconds)
            };
            OneLane::measure(count).unwrap();
            calls
        };
        assert_eq!(calls(1.0), 2 * MIN_CALLS);
        assert_eq!(calls(1.3e-3), 2 * 8);
        assert_eq!(calls(1e-6), 2 * MAX_CALLS);
    }
}
