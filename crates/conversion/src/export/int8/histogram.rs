//! How often values occur, and the range that represents them best in 8 bits.

use super::Span;

/// Bins of a histogram.
const BINS: usize = 8192;
/// Steps of a tensor in 8 bits.
const STEPS: f64 = 255.0;

/// Counts of values in equal bins over ±`reach`, which doubles as values come.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    reach: f64,
    counts: Vec<f64>,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { reach: 1e-6, counts: vec![0.0; BINS], low: 0.0, high: 0.0 }
    }
}

impl Histogram {
    /// Counts values.
    ///
    /// * `low`, `high`: the least and the largest of the tensor that `values` are a sample of.
    pub(super) fn add(&mut self, values: &[f32], low: f32, high: f32) {
        self.low = self.low.min(low);
        self.high = self.high.max(high);
        let furthest = f64::from(self.high.max(-self.low));
        while self.reach < furthest {
            self.double();
        }
        for &value in values {
            let bin = self.bin(f64::from(value));
            self.counts[bin] += 1.0;
        }
    }

    /// Makes each bin twice as wide; two become one.
    fn double(&mut self) {
        let mut wider = vec![0.0; BINS];
        for (bin, count) in self.counts.iter().enumerate() {
            wider[BINS / 4 + bin / 2] += count;
        }
        self.counts = wider;
        self.reach *= 2.0;
    }

    fn bin(&self, value: f64) -> usize {
        let share = (value + self.reach) / (2.0 * self.reach);
        ((share * BINS as f64) as usize).min(BINS - 1)
    }

    fn centre(&self, bin: usize) -> f64 {
        ((bin as f64 + 0.5) / BINS as f64 * 2.0 - 1.0) * self.reach
    }

    /// Returns the range whose 8 bits represent the values with the least mean squared error.
    ///
    /// It contains 0. Shares of the largest value and of the least are tried, one end after the
    /// other, twice.
    pub(super) fn best(&self) -> Span {
        let sums = Sums::of(self);
        let (least, largest) = (f64::from(self.low.min(0.0)), f64::from(self.high.max(0.0)));
        let (mut low, mut high) = (least, largest);
        for _ in 0..2 {
            high = best_share(largest, |high| sums.error(low, high));
            low = best_share(least, |low| sums.error(low, high));
        }
        Span { low: low as f32, high: high as f32 }
    }
}

/// Returns the share of `end`, in hundredths, with the least error.
fn best_share(end: f64, error: impl Fn(f64) -> f64) -> f64 {
    let tried = (1..=100).rev().map(|percent| end * f64::from(percent) / 100.0);
    let with_error = tried.map(|end| (error(end), end));
    let better = |a: (f64, f64), b: (f64, f64)| if b.0 < a.0 { b } else { a };
    with_error.reduce(better).map_or(end, |(_, end)| end)
}

/// Sums over the bins before each: of the counts, of the values, and of their squares.
struct Sums<'h> {
    histogram: &'h Histogram,
    before: Vec<[f64; 3]>,
}

impl<'h> Sums<'h> {
    fn of(histogram: &'h Histogram) -> Self {
        let mut before = vec![[0.0; 3]];
        let mut sums = [0.0; 3];
        for (bin, count) in histogram.counts.iter().enumerate() {
            let value = histogram.centre(bin);
            for (sum, term) in sums.iter_mut().zip([1.0, value, value * value]) {
                *sum += count * term;
            }
            before.push(sums);
        }
        Self { histogram, before }
    }

    /// Returns the sum of squared errors of the values in the 8 bits of a range.
    fn error(&self, low: f64, high: f64) -> f64 {
        let step = (high - low) / STEPS;
        if step <= 0.0 {
            return f64::INFINITY;
        }
        let (first, last) = (self.histogram.bin(low), self.histogram.bin(high));
        // Values outside are clipped; within, they are off by up to half a step, evenly.
        let below = distance(low, [0.0; 3], self.before[first]);
        let above = distance(high, self.before[last + 1], self.before[BINS]);
        let within = self.before[last + 1][0] - self.before[first][0];
        below + above + within * step * step / 12.0
    }
}

/// Returns the sum of squared distances from `to` of the values between two places.
fn distance(to: f64, from: [f64; 3], until: [f64; 3]) -> f64 {
    let [count, sum, squares] = [0, 1, 2].map(|i| until[i] - from[i]);
    (squares - 2.0 * to * sum + to * to * count).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        let fold = |start: f32, pick: fn(f32, f32) -> f32| values.iter().copied().fold(start, pick);
        histogram.add(values, fold(0.0, f32::min), fold(0.0, f32::max));
        histogram
    }

    #[test]
    fn even_values_keep_their_whole_range() {
        let values: Vec<f32> = (0..10_000).map(|i| i as f32 / 5000.0 - 1.0).collect();
        let Span { low, high } = of(&values).best();
        assert!((low + 1.0).abs() < 0.02 && (high - 1.0).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn a_lonely_value_far_out_is_cut() {
        let mut values: Vec<f32> = (0..1_000_000).map(|i| (i as f32 * 0.7).sin()).collect();
        values.push(8.0);
        let Span { low, high } = of(&values).best();
        assert!((1.0..4.0).contains(&high), "{high}");
        assert!(low >= -1.0, "{low}");
    }

    #[test]
    fn the_range_of_positive_values_starts_at_zero() {
        let values: Vec<f32> = (1..1000).map(|i| i as f32).collect();
        assert_eq!(of(&values).best().low, 0.0);
    }

    #[test]
    fn values_that_come_later_and_lie_further_out_are_counted_too() {
        let mut histogram = of(&[0.5; 100]);
        histogram.add(&[-3.0; 100], -3.0, -3.0);
        let total: f64 = histogram.counts.iter().sum();
        assert_eq!(total, 200.0);
        assert_eq!(histogram.counts[histogram.bin(-3.0)], 100.0);
        assert_eq!(histogram.counts[histogram.bin(0.5)], 100.0);
        let Span { low, high } = histogram.best();
        assert!(low <= -2.9 && high >= 0.45, "{low} {high}");
    }
}
