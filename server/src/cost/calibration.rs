//! Measures the cost curve of a network, one call at a time, for as long as it takes.
//!
//! * **Sizes in turns.** A round is one call of every size, so what slows the machine down for a
//!   while slows all sizes alike, and does not choose among them. The first call of a size warms it
//!   up and does not count, and neither does the first of a turn if calls are short: it finds the
//!   caches full of another size, which made one row of the embedded glyphs 25 % slower than when
//!   one follows the other.
//! * **Undisturbed calls.** What counts is the lower quartile of the calls during which nobody else
//!   had our cores ([`super::interference`]). Other processes only ever add time, and what they do
//!   to caches and clocks goes unnoticed, so a quartile says more about the machine than a median;
//!   on a quiet one the two are the same. As long as there are too few undisturbed calls, the lower
//!   quartile of all calls stands in. What others really cost is the business of the correction
//!   while serving.
//! * **Settled** means: for every size, the calls of odd and of even rounds are two independent
//!   measurements, and their lower quartiles agree within 3 %.
//! * **Sizes** are 1, 2, 3, 4, 6, 8, 12, … Another one is added while it could be the best for bulk
//!   work: unless calls have become too long, or three sizes after the best gained nothing. Rounds
//!   may add sizes that an earlier, disturbed one took for useless.
//!
//! It is a state machine without a clock: the server runs it for a short time at start, and the
//! engine goes on between requests, while it is idle. So a start on a busy machine decides nothing
//! for longer than the machine is busy.

use std::collections::VecDeque;
use std::time::Duration;

use super::curve::{CostCurve, LONGEST_CALL};
use super::interference::Reading;

/// Largest size that is measured, in evals.
const LARGEST: u32 = 1024;
/// Sizes up to this one are measured however long they take: guided rows need it.
const SMALLEST: u32 = 2;

/// Share of the best throughput that counts as the best, as for bulk work.
const GOOD_THROUGHPUT: f64 = 0.95;
/// Sizes beyond the best that have to gain nothing.
const FRUITLESS: usize = 3;

/// Seconds of a call beyond which what it finds in the caches no longer counts.
const SHORT_CALL: f64 = 0.02;

/// Undisturbed calls that make a quartile.
const ENOUGH: usize = 4;
/// By what factor two quartiles may differ.
const AGREEMENT: f64 = 1.03;

/// Calls of a size that are kept; the oldest go.
const KEPT: usize = 64;
/// Rounds after which a machine that is not quiet is only looked at now and then.
const EAGER_ROUNDS: u32 = 64;
/// Pause between such looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Rounds after which disturbance can be told from bad luck.
const FIRST_ROUNDS: u32 = 3;

/// The measurement of one network's cost curve.
#[derive(Debug, Clone)]
pub(crate) struct Calibration {
    /// Largest size that may be used.
    max: u32,
    sizes: Vec<Size>,
    /// Position of the size whose turn it is.
    turn: usize,
    /// Rounds that are complete.
    rounds: u32,
    settled: bool,
}

/// One size and its latest calls.
#[derive(Debug, Clone)]
struct Size {
    evals: u32,
    /// Whether the next call counts.
    warm: bool,
    calls: VecDeque<Reading>,
}

impl Calibration {
    /// Creates a measurement that has seen nothing yet.
    ///
    /// * `max_batch`: largest size that may be used, in evals; absent: 1024.
    pub(crate) fn new(max_batch: Option<u32>) -> Self {
        let max = max_batch.unwrap_or(LARGEST).max(1);
        Self { max, sizes: vec![Size::new(1)], turn: 0, rounds: 0, settled: false }
    }

    /// Sets the largest size that may be used, in evals; sizes that are measured already stay.
    pub(crate) fn limit(&mut self, max: u32) {
        self.max = max;
    }

    /// Returns the largest size that may be used, in evals.
    pub(crate) fn max(&self) -> u32 {
        self.max
    }

    /// Returns the size of the next call to measure, in evals; `None` once it has settled.
    pub(crate) fn next_size(&self) -> Option<u32> {
        (!self.settled).then(|| self.sizes[self.turn].evals)
    }

    /// Returns how long to be idle before the next call: a while after many rounds that did not
    /// agree, since a machine that is busy for hours should not be kept busier.
    pub(crate) fn pause(&self) -> Duration {
        if self.rounds < EAGER_ROUNDS { Duration::ZERO } else { PAUSE }
    }

    /// Records a call of the size that [`Calibration::next_size`] returned. Calls of other sizes
    /// are left out.
    pub(crate) fn record(&mut self, evals: u32, reading: Reading) {
        let size = &mut self.sizes[self.turn];
        if size.evals != evals || !size.take(reading) {
            return;
        }
        self.turn += 1;
        if self.turn < self.sizes.len() {
            return;
        }
        if let Some(evals) = self.further_size() {
            self.sizes.push(Size::new(evals));
            return;
        }
        self.turn = 0;
        self.rounds += 1;
        self.settled = self.sizes.iter().all(Size::is_settled);
    }

    /// Returns whether repeated measurements agree.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Returns whether most calls so far were disturbed, so that going on now is of little use.
    pub(crate) fn is_disturbed(&self) -> bool {
        let calls = || self.sizes.iter().flat_map(|size| &size.calls);
        let disturbed = calls().filter(|reading| reading.disturbed).count();
        self.rounds >= FIRST_ROUNDS && 2 * disturbed > calls().count()
    }

    /// Returns whether every size so far has been measured at least once.
    pub(crate) fn has_curve(&self) -> bool {
        self.rounds > 0 || self.sizes.len() > 1
    }

    /// Returns sizes in evals, ascending from 1, and the seconds of their calls.
    pub(crate) fn points(&self) -> Vec<(u32, f64)> {
        self.sizes.iter().filter_map(|size| Some((size.evals, size.seconds()?))).collect()
    }

    /// Returns the curve as far as it is known. Sizes most of whose calls were disturbed are [in
    /// doubt](CostCurve::in_doubt).
    ///
    /// Others take their slices of a long call whenever it comes, but not of every short one. So of
    /// a size in doubt the fastest call counts, and none of its evals is believed to take longer
    /// than one of a smaller call.
    pub(crate) fn curve(&self) -> CostCurve {
        let mut least_per_eval = f64::INFINITY;
        let mut points = Vec::with_capacity(self.sizes.len());
        for size in &self.sizes {
            let evals = f64::from(size.evals);
            let seconds = match size.is_disturbed() {
                true => size.fastest().map(|seconds| seconds.min(least_per_eval * evals)),
                false => size.seconds(),
            };
            let Some(seconds) = seconds else { continue };
            least_per_eval = least_per_eval.min(seconds / evals);
            points.push((size.evals, seconds));
        }
        let disturbed =
            |evals| self.sizes.iter().any(|size| size.evals == evals && size.is_disturbed());
        CostCurve::new(&points).in_doubt(disturbed)
    }

    /// Returns the size to add to those that are measured, if another one could be worth it.
    fn further_size(&self) -> Option<u32> {
        let points = self.points();
        let (evals, seconds) = *points.last()?;
        let throughput = |(evals, seconds): &(u32, f64)| f64::from(*evals) / seconds;
        let best = points.iter().map(throughput).fold(0.0, f64::max);
        let good = |point: &(u32, f64)| throughput(point) >= GOOD_THROUGHPUT * best;
        let beyond = points.len() - 1 - points.iter().position(good).unwrap_or(0);
        let ends =
            evals >= self.max || beyond >= FRUITLESS || evals >= SMALLEST && seconds > LONGEST_CALL;
        (!ends).then(|| after(evals).min(self.max))
    }
}

/// Returns the size after another: 1, 2, 3, 4, 6, 8, 12, …
fn after(evals: u32) -> u32 {
    match evals {
        0 | 1 => evals + 1,
        _ if evals.is_power_of_two() => evals / 2 * 3,
        _ => evals / 3 * 4,
    }
}

impl Size {
    fn new(evals: u32) -> Self {
        Self { evals, warm: false, calls: VecDeque::with_capacity(KEPT) }
    }

    /// Takes a call; returns false if it only warms up.
    fn take(&mut self, reading: Reading) -> bool {
        if !self.warm {
            self.warm = true;
            return false;
        }
        self.warm = reading.seconds >= SHORT_CALL;
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(reading);
        true
    }

    fn undisturbed(&self) -> Vec<f64> {
        let calls = self.calls.iter().filter(|reading| !reading.disturbed);
        calls.map(|reading| reading.seconds).collect()
    }

    /// Returns what a call takes; `None` before the first.
    fn seconds(&self) -> Option<f64> {
        let mut calls = self.undisturbed();
        if calls.len() < ENOUGH {
            calls = self.calls.iter().map(|reading| reading.seconds).collect();
        }
        (!calls.is_empty()).then(|| lower_quartile(calls))
    }

    /// Returns whether most calls were disturbed.
    fn is_disturbed(&self) -> bool {
        let disturbed = self.calls.iter().filter(|reading| reading.disturbed).count();
        2 * disturbed > self.calls.len()
    }

    /// Returns what the fastest call took; `None` before the first.
    fn fastest(&self) -> Option<f64> {
        self.calls.iter().map(|reading| reading.seconds).min_by(f64::total_cmp)
    }

    /// Returns whether the lower quartiles of every other undisturbed call agree.
    fn is_settled(&self) -> bool {
        let calls = self.undisturbed();
        if calls.len() < 2 * ENOUGH {
            return false;
        }
        let half = |skip| calls.iter().copied().skip(skip).step_by(2).collect();
        let (a, b): (f64, f64) = (lower_quartile(half(0)), lower_quartile(half(1)));
        a <= AGREEMENT * b && b <= AGREEMENT * a
    }
}

/// Returns the value below which a quarter of the values lies, interpolated. There must be some.
fn lower_quartile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() - 1) as f64 / 4.0;
    let (below, above) = (values[at as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::Noise;

    use super::*;

    fn quiet(seconds: f64) -> Reading {
        Reading { seconds, disturbed: false }
    }

    fn disturbed(seconds: f64) -> Reading {
        Reading { seconds, disturbed: true }
    }

    /// Runs a measurement until it settles or asks for a pause; returns the number of calls.
    fn run(calibration: &mut Calibration, mut call: impl FnMut(u32, u32) -> Reading) -> u32 {
        let mut calls = 0;
        while let (Some(size), true) = (calibration.next_size(), calibration.pause().is_zero()) {
            calibration.record(size, call(size, calls));
            calls += 1;
        }
        calls
    }

    fn sizes(calibration: &Calibration) -> Vec<u32> {
        calibration.points().into_iter().map(|(size, _)| size).collect()
    }

    #[test]
    fn a_disturbed_measurement_believes_its_fastest_calls_and_that_larger_ones_cost_no_more() {
        let truth = |size: u32| 0.001 * (1.0 + f64::from(size));
        let mut calibration = Calibration::new(Some(8));
        // Every other call of up to 3 evals gets through; larger ones take twice as long.
        let mut calls = 0;
        while calls < 60 {
            let Some(size) = calibration.next_size() else { break };
            let slow = if size > 3 || calls % 2 == 0 { 2.0 } else { 1.0 };
            calibration.record(size, disturbed(slow * truth(size)));
            calls += 1;
        }
        assert!(calibration.is_disturbed());
        let curve = calibration.curve();
        for size in 1..=3 {
            assert!((curve.seconds(size) / truth(size) - 1.0).abs() < 1e-9, "{size}");
        }
        // Eight evals, each as long as one of three: 10.7 ms, not 18.
        assert!((curve.seconds(8) - 8.0 / 3.0 * truth(3)).abs() < 1e-9);
    }

    #[test]
    fn sizes_double_in_two_steps() {
        let sizes: Vec<u32> =
            std::iter::successors(Some(1), |size| Some(after(*size))).take(12).collect();
        assert_eq!(sizes, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]);
    }

    #[test]
    fn a_quiet_measurement_settles_after_eight_rounds_and_is_exact() {
        let mut calibration = Calibration::new(Some(8));
        let truth = |size: u32| 0.001 * f64::from(10 + size);
        let calls = run(&mut calibration, |size, _| quiet(truth(size)));
        assert!(calibration.is_settled());
        // Eight calls that count, and as many that warm up, for each of 1, 2, 3, 4, 6 and 8.
        assert_eq!(calls, 6 * 16);
        let want: Vec<_> = [1, 2, 3, 4, 6, 8].map(|size| (size, truth(size))).into();
        assert_eq!(calibration.points(), want);
        assert_eq!(calibration.curve(), CostCurve::new(&want));
    }

    #[test]
    fn sizes_are_measured_in_turns() {
        let mut calibration = Calibration::new(Some(4));
        let mut order = Vec::new();
        run(&mut calibration, |size, _| {
            order.push(size);
            quiet(SHORT_CALL)
        });
        // Each size is warmed up when it joins.
        assert_eq!(order[..8], [1, 1, 2, 2, 3, 3, 4, 4]);
        assert!(order[8..].chunks(4).all(|round| round == [1, 2, 3, 4]));
    }

    #[test]
    fn a_short_call_counts_only_if_it_follows_one_of_its_size() {
        let mut calibration = Calibration::new(Some(3));
        let mut before = 0;
        run(&mut calibration, |size, _| {
            let is_cold = std::mem::replace(&mut before, size) != size;
            quiet(if is_cold { 0.003 } else { 0.002 })
        });
        assert_eq!(calibration.points(), [(1, 0.002), (2, 0.002), (3, 0.002)]);
    }

    #[test]
    fn the_first_call_of_a_size_does_not_count() {
        let mut calibration = Calibration::new(Some(1));
        let mut calls = 0;
        run(&mut calibration, |_, call| {
            calls += 1;
            quiet(if call == 0 { 9.0 } else { 0.001 })
        });
        assert_eq!((calibration.points(), calls), (vec![(1, 0.001)], 16));
    }

    #[test]
    fn three_sizes_without_a_gain_are_enough_and_two_are_not() {
        let mut linear = Calibration::new(None);
        run(&mut linear, |size, _| quiet(0.001 * f64::from(size)));
        assert_eq!(sizes(&linear), [1, 2, 3, 4]);
        // From size 2 to 4 nothing is gained, but 6 is twice as good.
        let mut late = Calibration::new(None);
        run(&mut late, |size, _| quiet(0.001 * f64::from(size) / if size < 4 { 1.0 } else { 2.0 }));
        assert_eq!(sizes(&late), [1, 2, 3, 4, 6, 8, 12]);
    }

    #[test]
    fn a_flat_cost_is_measured_up_to_the_largest_size() {
        let mut calibration = Calibration::new(None);
        run(&mut calibration, |_, _| quiet(0.001));
        assert_eq!(sizes(&calibration).last(), Some(&1024));
        let mut limited = Calibration::new(Some(7));
        run(&mut limited, |_, _| quiet(0.001));
        assert_eq!(sizes(&limited), [1, 2, 3, 4, 6, 7]);
        let mut late = Calibration::new(None);
        late.limit(3);
        run(&mut late, |_, _| quiet(0.001));
        assert_eq!((sizes(&late), late.max()), (vec![1, 2, 3], 3));
    }

    #[test]
    fn no_size_is_added_after_a_call_that_is_too_long() {
        let measured = |seconds: fn(u32) -> f64| {
            let mut calibration = Calibration::new(None);
            run(&mut calibration, |size, _| quiet(seconds(size)));
            sizes(&calibration)
        };
        assert_eq!(measured(|_| LONGEST_CALL + 0.001), [1, 2]);
        assert_eq!(
            measured(|size| if size < 6 { 0.2 } else { LONGEST_CALL + 0.001 }),
            [1, 2, 3, 4, 6]
        );
        assert_eq!(measured(|_| LONGEST_CALL).last(), Some(&1024));
    }

    #[test]
    fn disturbed_calls_count_only_as_long_as_there_is_nothing_better() {
        let mut calibration = Calibration::new(Some(2));
        // Warm-up, then three disturbed calls: the lower quartile of 0.03, 0.05, 0.07.
        for seconds in [9.0, 0.07, 0.03, 0.05] {
            calibration.sizes[0].take(disturbed(seconds));
        }
        assert_eq!(calibration.points(), [(1, 0.04)]);
        for _ in 0..ENOUGH {
            calibration.sizes[0].take(quiet(0.06));
        }
        assert_eq!(calibration.points(), [(1, 0.06)]);
    }

    #[test]
    fn a_busy_machine_is_looked_at_now_and_then_until_it_is_quiet() {
        let mut calibration = Calibration::new(Some(2));
        let calls = run(&mut calibration, |_, _| disturbed(0.003));
        assert_eq!(calls, 2 * 2 * EAGER_ROUNDS);
        assert_eq!(calibration.pause(), PAUSE);
        assert_eq!(calibration.points(), [(1, 0.003), (2, 0.003)]);
        let mut calls = 0;
        while let Some(size) = calibration.next_size() {
            calibration.record(size, quiet(0.001));
            calls += 1;
        }
        assert_eq!(calls, 2 * 2 * 2 * ENOUGH);
        assert_eq!(calibration.points(), [(1, 0.001), (2, 0.001)]);
    }

    #[test]
    fn calls_that_do_not_agree_are_repeated_until_they_do() {
        // Every other call takes 3.1 %, or 2.9 %, longer.
        let settles = |factor: f64| {
            let mut calibration = Calibration::new(Some(1));
            run(&mut calibration, |_, call| quiet(if call % 2 == 0 { 1.0 } else { factor }));
            calibration.is_settled()
        };
        assert!(!settles(1.031));
        assert!(!settles(1.0 / 1.031));
        assert!(settles(1.029));
    }

    #[test]
    fn a_start_is_disturbed_if_most_of_its_calls_are() {
        let after = |calls: &[bool]| {
            let mut calibration = Calibration::new(Some(1));
            for (call, is_disturbed) in calls.iter().enumerate() {
                assert!(call >= 4 || !calibration.is_disturbed(), "three rounds at least");
                let call = if *is_disturbed { disturbed(1.0) } else { quiet(1.0) };
                calibration.record(1, call);
            }
            calibration.is_disturbed()
        };
        // The first call warms up.
        assert!(after(&[false, true, true, false]));
        assert!(!after(&[true, true, false, false]));
        assert!(!after(&[true, true, true, false, false]), "a half is not most");
        assert!(after(&[false, true, true, true, true, false, false]));
    }

    #[test]
    fn a_busy_start_finds_few_sizes_and_the_idle_time_after_it_the_rest() {
        // Two cores: every size gains up to 16. At first somebody else makes calls six times as
        // long, whatever their size, most of the time.
        let truth = |size: u32| 0.001 * f64::from(size.max(16));
        let mut calibration = Calibration::new(None);
        let mut noise = [0.0f64; 1];
        let calls = run(&mut calibration, |size, call| {
            Noise::new(3).normal(0, call, &mut noise);
            let busy = call < 120 && noise[0] > -0.5;
            let seconds = truth(size) * (0.02 * noise[0]).exp();
            if busy { disturbed(seconds * f64::from(size) / 2.0) } else { quiet(seconds) }
        });
        assert!(calibration.is_settled(), "{calls} calls");
        let curve = calibration.curve();
        assert_eq!(curve.bulk(), 16);
        for size in [1, 4, 16, 32] {
            assert!((curve.seconds(size) / truth(size)).ln().abs() < 0.03);
        }
    }

    #[test]
    fn calls_of_another_size_are_left_out() {
        let mut calibration = Calibration::new(None);
        calibration.record(5, quiet(1.0));
        calibration.record(5, quiet(1.0));
        assert_eq!((calibration.points(), calibration.next_size()), (vec![], Some(1)));
        assert!(!calibration.has_curve());
        calibration.record(1, quiet(1.0));
        assert!(!calibration.has_curve());
        calibration.record(1, quiet(1.0));
        assert!(calibration.has_curve());
        let mut single = Calibration::new(Some(1));
        single.record(1, quiet(1.0));
        assert!(!single.has_curve());
        single.record(1, quiet(1.0));
        assert!(single.has_curve());
    }

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(lower_quartile(vec![4.0, 1.0, 2.0, 3.0, 5.0]), 2.0);
        assert_eq!(lower_quartile(vec![4.0, 1.0, 2.0, 3.0]), 1.75);
        assert_eq!(lower_quartile(vec![7.0]), 7.0);
    }
}
