//! Divergence between histograms of points in the plane.

use crate::{Error, Features};

/// Bins per axis: ⌊√(30,000 / 10)⌋ for the 30,000 points of ddpm-torch's evaluation.
const BINS: usize = 54;
/// Margin added to the range of the data at each end, as a share of its length.
const MARGIN: f64 = 0.05;
/// Added to every share before its logarithm, so that empty bins stay finite.
const EPSILON: f64 = 1e-9;

/// A histogram of data, to compare samples with.
#[derive(Debug, Clone)]
pub struct HistogramKl {
    edges: [Vec<f64>; 2],
    reference: Vec<f64>,
}

impl HistogramKl {
    /// Counts all `data`, points of the plane, in 54 × 54 bins over their range plus 5 % at each
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] unless rows have two values; [`Error::TooFew`] without rows;
    /// [`Error::Statistics`] if a coordinate is the same for all rows.
    pub fn new(data: &Features) -> Result<Self, Error> {
        Self::of_first(data, data.len())
    }

    /// Takes the range from all `data` but counts only the first `rows`, as ddpm-torch does with a
    /// batch of 1000: the noise of so few points makes even perfect samples look bad.
    ///
    /// # Errors
    ///
    /// As [`HistogramKl::new`].
    pub fn of_first(data: &Features, rows: usize) -> Result<Self, Error> {
        check_plane(data)?;
        let edges = [edges(data, 0)?, edges(data, 1)?];
        let mut histogram = Self { edges, reference: Vec::new() };
        histogram.reference = histogram.counts(&data.values()[..2 * rows.min(data.len())]);
        Ok(histogram)
    }

    /// Returns [`histogram_kl`] of the data from `samples`; those beyond the range do not count.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] unless rows have two values; [`Error::TooFew`] without rows.
    pub fn kl(&self, samples: &Features) -> Result<f64, Error> {
        check_plane(samples)?;
        Ok(histogram_kl(&self.reference, &self.counts(samples.values())))
    }

    fn counts(&self, points: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.0; BINS * BINS];
        for point in points.chunks_exact(2) {
            if let (Some(x), Some(y)) =
                (bin(&self.edges[0], point[0]), bin(&self.edges[1], point[1]))
            {
                counts[x * BINS + y] += 1.0;
            }
        }
        counts
    }
}

/// Computes Σ p ln((p + ε) / (q + ε)) in nats over bins, with p and q the shares of `reference` and
/// `samples` and ε = 1e-9: the divergence of the data from the samples, as ddpm-torch computes it.
/// At least 0 up to ε.
#[must_use]
pub fn histogram_kl(reference: &[f64], samples: &[f64]) -> f64 {
    let total = |counts: &[f64]| counts.iter().sum::<f64>() + EPSILON;
    let (reference_total, samples_total) = (total(reference), total(samples));
    let terms = reference.iter().zip(samples).map(|(p, q)| {
        let (p, q) = (p / reference_total, q / samples_total);
        p * ((p + EPSILON).ln() - (q + EPSILON).ln())
    });
    terms.sum()
}

pub(crate) fn check_plane(points: &Features) -> Result<(), Error> {
    if points.dim() != 2 {
        let message = format!("points of the plane have 2 coordinates, not {}", points.dim());
        return Err(Error::Shape(message));
    }
    if points.is_empty() {
        return Err(Error::TooFew { measure: "a measure of points", least: 1, got: 0 });
    }
    Ok(())
}

/// Returns the borders of the bins along one axis, ascending.
fn edges(data: &Features, axis: usize) -> Result<Vec<f64>, Error> {
    let along = || data.rows().map(|point| f64::from(point[axis]));
    let (least, most) =
        (along().fold(f64::INFINITY, f64::min), along().fold(f64::NEG_INFINITY, f64::max));
    if least >= most {
        let message = format!(
            "coordinate {axis} of the data is {least} everywhere: there is no range to count in"
        );
        return Err(Error::Statistics(message));
    }
    let margin = MARGIN * (most - least);
    let (low, high) = (least - margin, most + margin);
    let step = (high - low) / BINS as f64;
    let mut edges: Vec<f64> = (0..=BINS).map(|edge| low + edge as f64 * step).collect();
    edges[BINS] = high;
    Ok(edges)
}

/// Returns the bin of `value`. A bin includes its lower border, the last one also its upper.
fn bin(edges: &[f64], value: f32) -> Option<usize> {
    let value = f64::from(value);
    if value < edges[0] || value > edges[BINS] {
        return None;
    }
    Some((edges.partition_point(|&edge| edge <= value) - 1).min(BINS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(count: u32, radius: f32) -> Features {
        let point = |i: u32| {
            let angle = (i * 7919 % count) as f32 / count as f32 * std::f32::consts::TAU;
            [radius * angle.cos(), radius * angle.sin()]
        };
        Features::from_rows(2, (0..count).flat_map(point).collect()).unwrap()
    }

    #[test]
    fn data_does_not_diverge_from_itself() {
        let data = ring(5000, 1.0);
        assert!(HistogramKl::new(&data).unwrap().kl(&data).unwrap().abs() < 1e-12);
        let moved = HistogramKl::new(&data).unwrap().kl(&ring(5000, 0.7)).unwrap();
        assert!(moved > 10.0, "{moved}");
    }

    #[test]
    fn a_reference_of_few_points_judges_perfect_samples_badly() {
        let data = ring(20_000, 1.0);
        let whole = HistogramKl::new(&data).unwrap().kl(&data).unwrap();
        let part = HistogramKl::of_first(&data, 100).unwrap().kl(&data).unwrap();
        assert!(part > whole + 0.1, "{part} and {whole}");
    }

    #[test]
    fn samples_out_of_range_do_not_count_and_none_in_range_is_finite() {
        let data = ring(1000, 1.0);
        let histogram = HistogramKl::new(&data).unwrap();
        let far = Features::from_rows(2, vec![9.0, 9.0]).unwrap();
        let kl = histogram.kl(&far).unwrap();
        assert!(kl.is_finite() && kl > 10.0);
        let mut mixed = data.clone();
        mixed.push(&[9.0, 9.0]).unwrap();
        assert_eq!(histogram.kl(&mixed).unwrap(), histogram.kl(&data).unwrap());
    }

    #[test]
    fn rows_outside_the_plane_or_without_a_range_are_refused() {
        let histogram = |dim, values| HistogramKl::new(&Features::from_rows(dim, values).unwrap());
        assert!(matches!(histogram(3, vec![0.0; 6]), Err(Error::Shape(_))));
        assert!(matches!(histogram(2, vec![]), Err(Error::TooFew { .. })));
        assert!(matches!(histogram(2, vec![0.0, 1.0, 0.0, 2.0]), Err(Error::Statistics(_))));
    }
}
