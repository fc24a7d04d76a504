//! The cost curve of a network: the seconds that a call takes, by its number of evals.
//!
//! **Measured points.** Sizes s_1 = 1 < s_2 < … were measured to take b_1, b_2, … seconds. A
//! larger call does not take less time, so noise that says otherwise is averaged away: isotonic
//! regression, by pooling adjacent violators (Barlow et al. 1972, §1.2). Sizes in between are
//! interpolated linearly.
//!
//! **Correction while serving.** The machine of the measurement is not the machine of the next
//! hour. So the curve believes that size s_i takes
//!
//! ```text
//! r_i = b_i · exp(level + offset_i)
//! ```
//!
//! where `level` follows what moves all sizes alike, such as other processes, and `offset_i` what
//! was wrong at that size alone. A call of n evals that took t seconds has the error
//! e = ln(t / r(n)), limited to ±[`CLIP`]. It moves `level` by [`LEVEL_GAIN`] · e, and the offsets
//! of the sizes around n by [`OFFSET_GAIN`] · e, shared as in the interpolation. Both are
//! exponentially weighted means of log ratios, so:
//!
//! * a lasting change by a factor of two is followed to within 5 % in about 30 calls;
//! * one call, however slow, moves no prediction up to the largest size by more than 3.1 %, unless
//!   sizes are in doubt;
//! * calls with a relative noise of σ leave a noise of 0.2 σ in the level, and 0.14 σ in the
//!   ratio of two sizes, which decides about [`CostCurve::bulk`].
//!
//! A size that is not used would never be corrected, and a time in which the machine was busy
//! would be held against those that were used in it. So one call of [`TRY_EVERY`] tries a larger or
//! smaller size than the chosen one. For a tried call the two gains are swapped: the other calls
//! tell the level, so its surprise belongs to its own size, unless the level is behind just then.
//! The sizes beyond it are not tried, and keep their distance to it.
//!
//! **Doubt.** What was measured while others used the machine may be wrong by a factor, and at each
//! size by another. The first [`DOUBTED_CALLS`] calls around such a size move it by
//! [`DOUBT_GAIN`] · e, with e limited to ±[`DOUBT_CLIP`]: a factor of two is followed to within
//! 10 % in six calls, and one call may move it by a fifth. Sizes in doubt that were never called
//! move along: larger ones as far, since others take more of long calls, smaller ones half as far.
//!
//! What is read is the isotonic regression of r_i. The error is taken against r itself: against
//! what is read, two sizes whose true order is the other way round would drift apart for ever.

/// A call should not take longer, in seconds: samples join only between calls.
pub(crate) const LONGEST_CALL: f64 = 0.25;

/// Share of the best throughput that bulk work settles for.
const GOOD_THROUGHPUT: f64 = 0.95;

/// By what factor another size must be better before it replaces the chosen one.
const HYSTERESIS: f64 = 1.05;

/// One call of so many has a size near the chosen one.
const TRY_EVERY: u32 = 16;
/// Every second larger one is so many measured sizes away.
const FAR: usize = 4;

/// Log ratio by which the level may be behind for a tried call to say something about its size.
const BEHIND: f64 = 0.2;

/// Largest log ratio by which one call can surprise.
const CLIP: f64 = 0.3;
/// Share of a surprise that all sizes take over.
const LEVEL_GAIN: f64 = 0.08;
/// Share of a surprise that the size itself takes over beyond that.
const OFFSET_GAIN: f64 = 0.02;

/// Calls after which a size is no longer in doubt.
const DOUBTED_CALLS: u32 = 12;
/// Share of a surprise that a size in doubt takes over.
const DOUBT_GAIN: f64 = 0.3;
/// Largest log ratio by which a call of a size in doubt can surprise.
const DOUBT_CLIP: f64 = 0.7;

/// No call takes less, in seconds: logarithms and ratios stay finite.
const SHORTEST_CALL: f64 = 1e-9;

/// Seconds that a call of the network takes, by its number of evals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CostCurve {
    /// At least one, by ascending size.
    points: Vec<Point>,
    /// Logarithm of the factor that applies to all sizes.
    level: f64,
    /// Position of the size for bulk work.
    chosen: usize,
    /// The size of every call that can be filled, if the operator decided it.
    fixed: Option<u32>,
    /// Calls that were recorded.
    calls: u32,
    /// By how much the latest call surprised that tried nothing: how far the level is behind.
    lag: f64,
    /// Scratch space of the regression, kept so that recording allocates nothing.
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    size: u32,
    /// As measured, in seconds; non-decreasing in size.
    measured: f64,
    /// Logarithm of the factor that applies to this size alone.
    offset: f64,
    /// Calls until it is no longer in doubt.
    doubt: u32,
    /// What is read, in seconds: corrected, non-decreasing in size.
    seconds: f64,
}

impl Point {
    fn new(size: u32, measured: f64) -> Self {
        Self { size, measured, offset: 0.0, doubt: 0, seconds: measured }
    }
}

/// Neighbouring points that share their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    sum: f64,
    count: usize,
}

impl Block {
    fn mean(self) -> f64 {
        self.sum / self.count as f64
    }
}

/// A size next to the chosen one.
#[derive(Debug, Clone, Copy)]
enum Try {
    Larger,
    Smaller,
}

/// A place among the points: `share` of the way from point `left` to the next.
struct Place {
    left: usize,
    share: f64,
}

impl CostCurve {
    /// Creates a curve from measured points: sizes in evals, ascending from 1, and seconds. Points
    /// out of order are left out, and the curve of no points is that of a call without a cost.
    pub(crate) fn new(points: &[(u32, f64)]) -> Self {
        let mut kept: Vec<Point> = Vec::with_capacity(points.len().max(1));
        for (size, seconds) in points {
            if *size > kept.last().map_or(0, |last| last.size) && seconds.is_finite() {
                let measured = seconds.max(SHORTEST_CALL);
                kept.push(Point::new(*size, measured));
            }
        }
        if kept.is_empty() {
            kept.push(Point::new(1, SHORTEST_CALL));
        }
        let blocks = Vec::with_capacity(kept.len());
        let mut curve =
            Self { points: kept, level: 0.0, chosen: 0, fixed: None, calls: 0, lag: 0.0, blocks };
        curve.pool();
        curve.points.iter_mut().for_each(|point| point.measured = point.seconds);
        curve.chosen = curve.smallest_with(GOOD_THROUGHPUT, LONGEST_CALL);
        curve
    }

    /// Creates a curve on which every call takes the same time, and one of `largest` evals takes
    /// `seconds_per_eval` seconds for each: bulk work fills batches of `largest`.
    #[cfg(test)]
    pub(crate) fn flat(seconds_per_eval: f64, largest: u32) -> Self {
        let seconds = seconds_per_eval * f64::from(largest);
        let sizes = (1..=largest).filter(|size| size.is_power_of_two() || *size == largest);
        Self::new(&sizes.map(|size| (size, seconds)).collect::<Vec<_>>())
    }

    /// Creates a curve on which every eval takes `seconds_per_eval` seconds, whatever its call:
    /// nothing is gained by batches.
    #[cfg(test)]
    pub(crate) fn linear(seconds_per_eval: f64, largest: u32) -> Self {
        let sizes = (1..=largest).filter(|size| size.is_power_of_two() || *size == largest);
        Self::new(&sizes.map(|size| (size, seconds_per_eval * f64::from(size))).collect::<Vec<_>>())
    }

    /// Returns the largest size that may be used, in evals: the largest that was measured,
    /// or the fixed one.
    pub(crate) fn largest(&self) -> u32 {
        let measured = self.points[self.points.len() - 1].size;
        measured.max(self.fixed.unwrap_or(0))
    }

    /// Returns the seconds that a call of `evals` evals takes: 0 without evals, and beyond the
    /// largest size by the slope of the last two points.
    pub(crate) fn seconds(&self, evals: u32) -> f64 {
        if evals == 0 { 0.0 } else { self.interpolate(evals, |point| point.seconds) }
    }

    /// Returns the size for work that only wants throughput, in evals: the smallest that reaches
    /// 95 % of the best, among those whose call takes at most [`LONGEST_CALL`]. A chosen size
    /// stays until another is better by 5 %, so that noise does not change it.
    pub(crate) fn bulk(&self) -> u32 {
        self.fixed.unwrap_or(self.points[self.chosen].size)
    }

    /// Returns the size of the next call for bulk work, in evals: [`CostCurve::bulk`], or now and
    /// then a larger or the next smaller size that was measured, in turns.
    pub(crate) fn call_size(&self) -> u32 {
        if let (None, Some(tried)) = (self.fixed, self.tries()) {
            // Next to each other, sizes may differ by less than what makes another one the chosen.
            let far = (self.calls / TRY_EVERY).is_multiple_of(4);
            let at = match tried {
                Try::Larger if far => Some((self.chosen + FAR).min(self.points.len() - 1)),
                Try::Larger => self.chosen.checked_add(1),
                Try::Smaller => self.chosen.checked_sub(1),
            };
            let point = at.and_then(|at| self.points.get(at));
            if let Some(point) = point.filter(|point| point.seconds <= LONGEST_CALL) {
                return point.size;
            }
        }
        self.bulk()
    }

    /// Returns what the next call tries.
    fn tries(&self) -> Option<Try> {
        let (turn, call) = (self.calls / TRY_EVERY, self.calls % TRY_EVERY);
        let tried = if turn.is_multiple_of(2) { Try::Larger } else { Try::Smaller };
        (call == TRY_EVERY - 1).then_some(tried)
    }

    /// Decides [`CostCurve::bulk`], whatever calls cost.
    #[must_use]
    pub(crate) fn fixed(self, size: Option<u32>) -> Self {
        Self { fixed: size, ..self }
    }

    /// Doubts sizes, because others used the machine while they were measured.
    ///
    /// * `is_doubted`: tells which, by their evals.
    #[must_use]
    pub(crate) fn in_doubt(mut self, is_doubted: impl Fn(u32) -> bool) -> Self {
        let doubted = self.points.iter_mut().filter(|point| is_doubted(point.size));
        doubted.for_each(|point| point.doubt = DOUBTED_CALLS);
        self
    }

    /// Returns the size that was decided, if one was.
    pub(crate) fn fixed_size(&self) -> Option<u32> {
        self.fixed
    }

    /// Returns the seconds per eval in a call of [`CostCurve::bulk`] evals.
    pub(crate) fn seconds_per_eval(&self) -> f64 {
        self.seconds(self.bulk()) / f64::from(self.bulk())
    }

    /// Corrects the curve by a call of `evals` evals that took `seconds` seconds. Allocates
    /// nothing; its time is linear in the number of measured sizes.
    pub(crate) fn record(&mut self, evals: u32, seconds: f64) {
        if evals == 0 || !seconds.is_finite() {
            return;
        }
        let believed = self.interpolate(evals, |point| self.believed(point));
        let surprise = (seconds.max(SHORTEST_CALL) / believed).ln();
        let Place { left, share } = self.place(evals);
        if self.resolve_doubt(left, share, surprise) {
            return;
        }
        let error = surprise.clamp(-CLIP, CLIP);
        let tried = self.tries().filter(|_| self.fixed.is_none());
        let chosen = self.points[self.chosen].size;
        let (larger, smaller) = match tried {
            Some(Try::Larger) => (evals > chosen, false),
            Some(Try::Smaller) => (false, evals < chosen),
            None => (false, false),
        };
        let gains = (LEVEL_GAIN, OFFSET_GAIN);
        let (level, offset) = match (larger || smaller, self.lag <= BEHIND) {
            (true, true) => (gains.1, gains.0),
            (true, false) => (gains.0, 0.0),
            (false, _) => {
                self.lag = error.abs();
                gains
            }
        };
        self.level += level * error;
        let (before, from) = self.points.split_at_mut(left);
        let (first, last) = (offset * (1.0 - share) * error, offset * share * error);
        from[0].offset += first;
        if let Some(right) = from.get_mut(1) {
            right.offset += last;
        }
        if larger {
            let along = if share > 0.0 { last } else { first };
            let beyond = 1 + usize::from(share > 0.0);
            from.iter_mut().skip(beyond).for_each(|point| point.offset += along);
        }
        if smaller {
            before.iter_mut().for_each(|point| point.offset += first);
        }
        self.calls = self.calls.wrapping_add(1);
        self.pool();
        self.choose();
    }

    /// Corrects what is in doubt by a call between two points, and returns whether one of them is.
    ///
    /// * `left`, `share`: its [`Place`].
    fn resolve_doubt(&mut self, left: usize, share: f64, surprise: f64) -> bool {
        let around = [left, left + usize::from(share > 0.0)];
        let is_doubted = |at: &usize| self.points.get(*at).is_some_and(|point| point.doubt > 0);
        if !around.iter().any(is_doubted) {
            return false;
        }
        let moved = DOUBT_GAIN * surprise.clamp(-DOUBT_CLIP, DOUBT_CLIP);
        for (at, point) in self.points.iter_mut().enumerate() {
            let far = match (around.contains(&at), point.doubt) {
                (_, 0) => 0.0,
                (true, _) => 1.0,
                // Never called: what others took of the sizes around is all that is known of it.
                (false, DOUBTED_CALLS) if at > left => 1.0,
                (false, DOUBTED_CALLS) => 0.5,
                (false, _) => 0.0,
            };
            point.offset += far * moved;
            if around.contains(&at) {
                point.doubt = point.doubt.saturating_sub(1);
            }
        }
        self.calls = self.calls.wrapping_add(1);
        self.pool();
        self.choose();
        true
    }

    /// Returns what a call of a point's size is believed to take, whatever its neighbours.
    fn believed(&self, point: &Point) -> f64 {
        (point.measured * (self.level + point.offset).exp()).max(SHORTEST_CALL)
    }

    /// Returns where a size lies among the points; the last of them from the largest size on.
    fn place(&self, evals: u32) -> Place {
        let above = self.points.partition_point(|point| point.size <= evals);
        let left = above.saturating_sub(1);
        let share = match self.points.get(above) {
            Some(right) if above > 0 => {
                let size = self.points[left].size;
                f64::from(evals - size) / f64::from(right.size - size)
            }
            _ => 0.0,
        };
        Place { left, share }
    }

    /// Interpolates a value of the points at a size of at least one eval.
    fn interpolate(&self, evals: u32, value: impl Fn(&Point) -> f64) -> f64 {
        let Place { left, share } = self.place(evals);
        let point = &self.points[left];
        if let Some(right) = self.points.get(left + 1) {
            let (from, to) = (value(point), value(right));
            // Rounding must not lead past the next point.
            return if from <= to {
                (from + (to - from) * share).min(to)
            } else {
                from + (to - from) * share
            };
        }
        let beyond = f64::from(evals) - f64::from(point.size);
        let slope = match left.checked_sub(1).map(|before| &self.points[before]) {
            Some(before) => (value(point) - value(before)) / f64::from(point.size - before.size),
            None => value(point) / f64::from(point.size),
        };
        value(point) + slope.max(0.0) * beyond
    }

    /// Makes what is read the isotonic regression of what is believed.
    fn pool(&mut self) {
        self.blocks.clear();
        for at in 0..self.points.len() {
            let mut block = Block { sum: self.believed(&self.points[at]), count: 1 };
            while let Some(before) = self.blocks.pop_if(|before| before.mean() > block.mean()) {
                block = Block { sum: before.sum + block.sum, count: before.count + block.count };
            }
            self.blocks.push(block);
        }
        let mut points = self.points.iter_mut();
        for block in &self.blocks {
            points.by_ref().take(block.count).for_each(|point| point.seconds = block.mean());
        }
    }

    /// Returns the evals per second in calls of a point's size.
    fn throughput(&self, at: usize) -> f64 {
        f64::from(self.points[at].size) / self.points[at].seconds
    }

    /// Returns how many points have calls of at most `longest` seconds; at least one.
    fn short_calls(&self, longest: f64) -> usize {
        self.points.partition_point(|point| point.seconds <= longest).max(1)
    }

    /// Returns the best throughput among calls that are short enough, in evals per second.
    fn best_throughput(&self, longest: f64) -> f64 {
        let short = 0..self.short_calls(longest);
        short.map(|at| self.throughput(at)).fold(0.0, f64::max)
    }

    /// Returns the position of the smallest size with a share of the best throughput, at most 1.
    fn smallest_with(&self, share: f64, longest: f64) -> usize {
        let least = share * self.best_throughput(longest);
        let mut short = 0..self.short_calls(longest);
        short.find(|at| self.throughput(*at) >= least).unwrap_or(0)
    }

    /// Chooses the size for bulk work anew if the chosen one has become too long, too slow, or
    /// larger than it need be.
    fn choose(&mut self) {
        let longest = LONGEST_CALL * HYSTERESIS;
        let short = self.chosen < self.short_calls(longest);
        let least = GOOD_THROUGHPUT * self.best_throughput(LONGEST_CALL);
        let fast = self.throughput(self.chosen) * HYSTERESIS >= least;
        let needed = self.smallest_with(GOOD_THROUGHPUT * HYSTERESIS, longest) >= self.chosen;
        if !(short && fast && needed) {
            self.chosen = self.smallest_with(GOOD_THROUGHPUT, LONGEST_CALL);
        }
    }
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::Noise;
    use proptest::prelude::*;

    use super::*;

    /// Sizes as they are measured.
    const SIZES: [u32; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

    fn curve(seconds: impl Fn(f64) -> f64) -> CostCurve {
        CostCurve::new(&SIZES.map(|size| (size, seconds(f64::from(size)))))
    }

    fn assert_close(got: f64, want: f64, relative: f64) {
        assert!((got / want).ln().abs() <= relative, "{got} is not {want}");
    }

    #[test]
    fn a_curve_is_exact_on_its_points_and_straight_between_them() {
        let curve = CostCurve::new(&[(1, 0.010), (2, 0.012), (4, 0.020)]);
        assert_eq!([1, 2, 4].map(|size| curve.seconds(size)), [0.010, 0.012, 0.020]);
        assert_close(curve.seconds(3), 0.016, 1e-12);
        assert_eq!(curve.seconds(0), 0.0);
        assert_eq!(curve.largest(), 4);
    }

    #[test]
    fn beyond_the_largest_size_the_last_slope_goes_on() {
        let curve = CostCurve::new(&[(1, 0.010), (2, 0.012), (4, 0.020)]);
        assert_close(curve.seconds(10), 0.020 + 6.0 * 0.004, 1e-12);
        let single = CostCurve::new(&[(1, 0.010)]);
        assert_close(single.seconds(7), 0.070, 1e-12);
    }

    #[test]
    fn a_single_size_costs_the_same_per_eval_and_before_the_first_of_several_it_is_level() {
        let curve = CostCurve::new(&[(4, 0.020)]);
        assert_close(curve.seconds(1), 0.005, 1e-12);
        assert_close(curve.seconds(8), 0.040, 1e-12);
        let curve = CostCurve::new(&[(4, 0.020), (6, 0.030)]);
        assert_close(curve.seconds(1), 0.020, 1e-12);
        assert_close(curve.seconds(9), 0.045, 1e-12);
    }

    #[test]
    fn a_larger_call_that_seems_faster_shares_the_mean_with_its_neighbours() {
        let curve = CostCurve::new(&[(1, 0.010), (2, 0.014), (3, 0.012), (4, 0.010), (6, 0.030)]);
        let read = [1, 2, 3, 4, 6].map(|size| curve.seconds(size));
        for (got, want) in read.into_iter().zip([0.010, 0.012, 0.012, 0.012, 0.030]) {
            assert_close(got, want, 1e-12);
        }
    }

    #[test]
    fn points_that_say_nothing_are_left_out() {
        let curve = CostCurve::new(&[(1, 0.010), (1, 0.5), (2, f64::NAN), (4, -1.0), (3, 0.02)]);
        assert_eq!(curve.largest(), 4);
        assert!(curve.seconds(4) > 0.0);
        let empty = CostCurve::new(&[]);
        assert_eq!((empty.largest(), empty.bulk()), (1, 1));
        assert!(empty.seconds_per_eval() > 0.0);
    }

    #[test]
    fn nothing_is_gained_by_batches_of_a_linear_cost() {
        let curve = CostCurve::linear(0.002, 24);
        assert_eq!((curve.bulk(), curve.largest()), (1, 24));
        assert_close(curve.seconds_per_eval(), 0.002, 1e-12);
    }

    #[test]
    fn a_flat_cost_fills_the_largest_batch() {
        let curve = CostCurve::flat(0.002, 24);
        assert_eq!((curve.bulk(), curve.largest()), (24, 24));
        assert_close(curve.seconds_per_eval(), 0.002, 1e-12);
        assert_close(curve.seconds(1), 0.048, 1e-12);
    }

    #[test]
    fn a_cost_that_is_flat_and_then_linear_is_used_at_its_knee() {
        let curve = curve(|size| 0.001 * size.max(8.0));
        assert_eq!(curve.bulk(), 8);
        assert_close(curve.seconds_per_eval(), 0.001, 1e-12);
    }

    #[test]
    fn a_saturating_cost_is_used_where_95_percent_are_reached() {
        // Throughput n / (1 + n) of the best: against the best size, 24 / 25, 8 / 9 is 92.6 % and
        // 12 / 13 is 96.2 %.
        let curve = curve(|size| 0.001 * (1.0 + size));
        assert_eq!(curve.bulk(), 12);
    }

    #[test]
    fn calls_for_bulk_work_are_no_longer_than_the_longest() {
        // Flat: the largest would be best, but only calls up to 8 are short enough.
        let curve = curve(|size| if size <= 8.0 { LONGEST_CALL } else { LONGEST_CALL + 1e-6 });
        assert_eq!(curve.bulk(), 8);
        assert_eq!(CostCurve::new(&[(1, 9.0), (2, 9.0)]).bulk(), 1);
    }

    #[test]
    fn a_lasting_change_is_followed_within_50_calls_and_moves_all_sizes() {
        for factor in [2.0, 0.5] {
            let mut curve = curve(|size| 0.001 * (1.0 + size));
            for _ in 0..50 {
                curve.record(8, factor * 0.009);
            }
            assert_close(curve.seconds(8), factor * 0.009, 0.02);
            // The level has 8 of 10 parts of the change.
            assert_close(curve.seconds(1), f64::powf(factor, 0.8) * 0.002, 0.02);
        }
    }

    #[test]
    fn what_was_measured_in_doubt_is_put_right_within_a_few_calls() {
        // Measured too slow, short calls by a factor of 1.5, long ones by 3.
        let truth = |size: f64| 0.001 * (1.0 + size);
        let factor = |size: f64| if size < 10.0 { 1.5 } else { 3.0 };
        let doubted = || curve(|size| factor(size) * truth(size)).in_doubt(|_| true);
        let record = |curve: &mut CostCurve, size: u32| curve.record(size, truth(size.into()));
        for one_after_the_other in [true, false] {
            let mut curve = doubted();
            for call in 0..24 {
                let first = if one_after_the_other { call < 12 } else { call % 2 == 0 };
                record(&mut curve, if first { 12 } else { 1 });
            }
            for size in [1, 12] {
                assert_close(curve.seconds(size), truth(size.into()), 0.1);
            }
            // It was never called, and has moved along.
            assert!(curve.seconds(24) < 2.0 * truth(24.0));
        }
    }

    #[test]
    fn a_few_calls_end_the_doubt_about_a_size() {
        let truth = |size: f64| 0.001 * (1.0 + size);
        let mut curve = curve(truth).in_doubt(|_| true);
        for _ in 0..DOUBTED_CALLS {
            curve.record(8, truth(8.0));
        }
        let before = curve.clone();
        curve.record(8, 100.0);
        for read in 1..=24 {
            assert_close(curve.seconds(read), before.seconds(read), 0.031);
        }
        // Sizes that were never called are still in doubt.
        curve.record(24, 2.0 * truth(24.0));
        assert!(curve.seconds(24) > 1.15 * before.seconds(24));
    }

    #[test]
    fn only_the_sizes_in_doubt_are_moved_by_their_doubt() {
        let truth = |size: f64| 0.001 * (1.0 + size);
        let mut curve = curve(truth).in_doubt(|size| size == 24);
        let before = curve.clone();
        curve.record(24, 2.0 * truth(24.0));
        assert!(curve.seconds(24) > 1.15 * before.seconds(24));
        assert_eq!(curve.seconds(12), before.seconds(12));
    }

    #[test]
    fn an_outlier_moves_no_prediction_by_more_than_a_few_per_cent() {
        for factor in [100.0, 0.01, f64::MAX, 0.0, -1.0] {
            for size in [1, 7, 24, 100] {
                let before = curve(|size| 0.001 * (1.0 + size));
                let mut after = before.clone();
                after.record(size, factor);
                for read in 1..=24 {
                    assert_close(after.seconds(read), before.seconds(read), 0.031);
                }
            }
        }
    }

    #[test]
    fn recording_allocates_nothing() {
        let mut curve = curve(|size| 0.001 * (1.0 + size));
        let places = |curve: &CostCurve| {
            (curve.points.as_ptr(), curve.blocks.as_ptr(), curve.blocks.capacity())
        };
        let before = places(&curve);
        // Falling times make one block of many, rising ones one block of each.
        for (size, seconds) in SIZES.into_iter().flat_map(|size| [(size, 0.1), (25 - size, 0.1)]) {
            curve.record(size, seconds);
        }
        assert_eq!(places(&curve), before);
    }

    #[test]
    fn calls_that_say_nothing_change_nothing() {
        let before = curve(|size| 0.001 * (1.0 + size));
        let mut after = before.clone();
        after.record(0, 1.0);
        after.record(4, f64::NAN);
        after.record(4, f64::INFINITY);
        assert_eq!(after, before);
    }

    #[test]
    fn a_wrong_point_is_put_right_without_its_neighbours() {
        // Size 4 was measured while somebody else computed.
        let truth = |size: f64| 0.001 * (1.0 + size);
        let mut curve = curve(|size| if size == 4.0 { 1.6 * truth(size) } else { truth(size) });
        for _ in 0..250 {
            for size in SIZES {
                curve.record(size, truth(f64::from(size)));
            }
        }
        for size in SIZES {
            assert_close(curve.seconds(size), truth(f64::from(size)), 0.01);
        }
    }

    #[test]
    fn a_call_between_two_sizes_corrects_both_by_their_shares() {
        let before = curve(|size| 0.001 * (1.0 + size));
        let mut after = before.clone();
        // 9 is a quarter of the way from 8 to 12, and was believed to take 10 ms.
        after.record(9, 0.010 * f64::exp(0.2));
        for size in SIZES {
            let offset = match size {
                8 => 0.75 * OFFSET_GAIN,
                12 => 0.25 * OFFSET_GAIN,
                _ => 0.0,
            };
            let change = (after.seconds(size) / before.seconds(size)).ln();
            assert!((change - 0.2 * (LEVEL_GAIN + offset)).abs() < 1e-12, "{size}: {change}");
        }
    }

    #[test]
    fn between_sizes_in_the_wrong_order_a_call_is_believed_to_take_what_lies_between() {
        let mut curve = CostCurve::new(&[(1, 0.012), (5, 0.012)]);
        curve.points[0].offset = 0.5;
        // A quarter of the way down from the first to the last.
        let between = 0.75 * 0.012 * f64::exp(0.5) + 0.25 * 0.012;
        for error in [0.0, 0.1, -0.1] {
            let mut curve = curve.clone();
            curve.record(2, between * f64::exp(error));
            assert!((curve.level - LEVEL_GAIN * error).abs() < 1e-12, "{}", curve.level);
        }
    }

    #[test]
    fn a_fixed_size_stays_whatever_calls_cost() {
        let mut curve = CostCurve::linear(0.01, 8).fixed(Some(32));
        assert_eq!((curve.bulk(), curve.largest(), curve.fixed_size()), (32, 32, Some(32)));
        assert_close(curve.seconds_per_eval(), 0.01, 1e-9);
        (0..100).for_each(|_| curve.record(1, 1.0));
        assert_eq!(curve.bulk(), 32);
        assert!(curve.fixed(None).bulk() <= 8);
    }

    #[test]
    fn a_chosen_size_stays_until_another_is_better_by_5_per_cent() {
        let learn = |curve: &mut CostCurve, two: f64, four: f64| {
            for (size, seconds) in [(1, 0.1), (2, two), (4, four)].repeat(400) {
                curve.record(size, seconds);
            }
        };
        let mut curve = CostCurve::new(&[(1, 0.1), (2, 0.12), (4, 0.22)]);
        // 16.7 and 18.2 evals per second: 92 %.
        assert_eq!(curve.bulk(), 4);
        // 96 and 98 % are enough, but not by enough to give up the 4.
        learn(&mut curve, 0.1146, 0.22);
        assert_eq!(curve.bulk(), 4);
        learn(&mut curve, 0.1122, 0.22);
        assert_eq!(curve.bulk(), 4);
        // As good without a doubt.
        learn(&mut curve, 0.109, 0.22);
        assert_eq!(curve.bulk(), 2);
        // 94, 91 % of the best would not be chosen, but stay.
        learn(&mut curve, 0.117, 0.22);
        assert_eq!(curve.bulk(), 2);
        learn(&mut curve, 0.1205, 0.22);
        assert_eq!(curve.bulk(), 2);
        learn(&mut curve, 0.123, 0.22);
        assert_eq!(curve.bulk(), 4);
        // Calls of almost the longest are no different.
        let mut curve = CostCurve::new(&[(1, 0.1), (2, 0.135), (4, 0.24)]);
        assert_eq!(curve.bulk(), 4);
        learn(&mut curve, 0.125, 0.24);
        assert_eq!(curve.bulk(), 4);
    }

    #[test]
    fn sizes_whose_order_is_really_the_other_way_round_do_not_drift_apart() {
        let mut curve = CostCurve::new(&[(1, 0.010), (2, 0.012)]);
        for _ in 0..10_000 {
            curve.record(1, 0.012);
            curve.record(2, 0.010);
        }
        assert_close(curve.seconds(1), 0.011, 0.01);
        assert_close(curve.seconds(2), 0.011, 0.01);
        // And once the order is the usual again, it is read as soon as any change.
        for _ in 0..200 {
            curve.record(1, 0.010);
            curve.record(2, 0.012);
        }
        assert_close(curve.seconds(1), 0.010, 0.02);
        assert_close(curve.seconds(2), 0.012, 0.02);
    }

    #[test]
    fn one_call_of_16_has_a_larger_or_smaller_size() {
        let mut curve = curve(|size| 0.001 * (1.0 + size));
        let mut sizes = Vec::new();
        for _ in 0..64 {
            let size = curve.call_size();
            curve.record(size, 0.001 * (1.0 + f64::from(size)));
            sizes.push(size);
        }
        let tried: Vec<_> = sizes.iter().enumerate().filter(|(_, size)| **size != 12).collect();
        assert_eq!(tried, [(15, &24), (31, &8), (47, &16), (63, &8)]);
        let mut fixed = curve.fixed(Some(7));
        (0..64).for_each(|_| {
            assert_eq!(fixed.call_size(), 7);
            fixed.record(7, 0.01);
        });
    }

    #[test]
    fn the_sizes_beyond_a_tried_one_keep_their_distance_to_it() {
        let truth = |size: f64| 0.001 * (1.0 + size);
        // 12 is the chosen one; 14 lies half way between 12 and 16.
        for (calls, tried, moved) in [(47, 16, [16, 24]), (31, 8, [1, 8]), (47, 14, [16, 24])] {
            let mut curve = curve(truth);
            (0..calls).for_each(|_| curve.record(12, truth(12.0)));
            let before = curve.clone();
            curve.record(tried, 1.2 * truth(f64::from(tried)));
            let change = |size| (curve.seconds(size) / before.seconds(size)).ln();
            let changes = moved.map(change);
            assert!((changes[0] - changes[1]).abs() < 1e-9, "{tried}: {changes:?}");
            assert!(changes[0] > 0.006, "{tried}: {changes:?}");
        }
    }

    #[test]
    fn no_size_is_tried_that_is_too_long_or_was_not_measured() {
        let measured = [(1, 0.1), (2, 0.11), (4, LONGEST_CALL + 0.1)];
        let mut curve = CostCurve::new(&measured);
        let mut single = CostCurve::new(&[(1, 0.1)]);
        for _ in 0..64 {
            assert!(curve.call_size() <= 2);
            curve.record(2, 0.11);
            assert_eq!(single.call_size(), 1);
            single.record(1, 0.1);
        }
    }

    #[test]
    fn what_a_busy_machine_made_of_the_curve_is_put_right_while_serving() {
        let truth = |size: u32| 0.001 * (1.0 + f64::from(size));
        let serve = |curve: &mut CostCurve, calls: usize, others: fn(usize) -> f64| {
            for call in 0..calls {
                let size = curve.call_size();
                curve.record(size, others(call) * truth(size));
            }
        };
        // Measured while others computed, the large sizes most of all: the smallest seemed best.
        let mut curve = curve(|size| 0.001 * (1.0 + size) * size.sqrt());
        assert_eq!(curve.bulk(), 1);
        serve(&mut curve, 3_000, |_| 1.0);
        assert!((8..=16).contains(&curve.bulk()), "{}", curve.bulk());
        // Others come and go: nothing is held against the size in use.
        for _ in 0..100 {
            serve(&mut curve, 200, |_| 1.0);
            serve(&mut curve, 30, |_| 5.0);
        }
        serve(&mut curve, 1_000, |_| 1.0);
        assert!(curve.bulk() >= 8, "{}", curve.bulk());
    }

    #[test]
    fn noise_does_not_change_the_size_for_bulk_work() {
        // Throughput at 12 is 96.2 % of the best, barely enough; noise of 10 % on each call.
        let truth = |size: f64| 0.001 * (1.0 + size);
        let mut curve = curve(truth);
        let mut noise = [0.0f64; SIZES.len()];
        for (seed, draw) in (0..20u64).flat_map(|seed| (0..500).map(move |draw| (seed, draw))) {
            Noise::new(seed).normal(0, draw, &mut noise);
            for (size, z) in SIZES.into_iter().zip(&noise) {
                curve.record(size, truth(f64::from(size)) * (0.1 * z).exp());
                assert_eq!(curve.bulk(), 12);
            }
        }
    }

    #[test]
    fn the_size_for_bulk_work_follows_a_lasting_change_both_ways() {
        let mut curve = curve(|size| 0.001 * (1.0 + size));
        let learn = |curve: &mut CostCurve, seconds: fn(f64) -> f64| {
            for _ in 0..300 {
                SIZES.iter().for_each(|size| curve.record(*size, seconds(f64::from(*size))));
            }
        };
        learn(&mut curve, |size| 0.001 * size);
        assert_eq!(curve.bulk(), 1);
        learn(&mut curve, |_| 0.01);
        assert_eq!(curve.bulk(), 24);
        learn(&mut curve, |size| if size > 8.0 { 0.3 } else { 0.1 });
        assert_eq!(curve.bulk(), 8);
    }

    proptest! {
        #[test]
        fn a_curve_never_falls_whatever_was_measured_and_recorded(
            measured in proptest::collection::vec(1e-6..1.0f64, SIZES.len()),
            calls in proptest::collection::vec((0..40u32, 1e-6..1.0f64), 0..200),
        ) {
            let points: Vec<_> = SIZES.into_iter().zip(measured).collect();
            let mut curve = CostCurve::new(&points);
            for (evals, seconds) in calls {
                curve.record(evals, seconds);
                for size in 0..40 {
                    prop_assert!(curve.seconds(size) <= curve.seconds(size + 1));
                }
                prop_assert!(curve.seconds(1) > 0.0);
                prop_assert!((1..=24).contains(&curve.bulk()));
            }
        }

        #[test]
        fn the_regression_keeps_the_sum_and_is_exact_for_what_already_rises(
            mut measured in proptest::collection::vec(1e-6..1.0f64, SIZES.len()),
        ) {
            let read = |measured: &[f64]| {
                let points: Vec<_> = SIZES.into_iter().zip(measured.iter().copied()).collect();
                let curve = CostCurve::new(&points);
                SIZES.map(|size| curve.seconds(size))
            };
            let sum: f64 = measured.iter().sum();
            prop_assert!((read(&measured).iter().sum::<f64>() - sum).abs() < 1e-9);
            measured.sort_by(f64::total_cmp);
            prop_assert_eq!(&read(&measured)[..], &measured[..]);
        }
    }
}
