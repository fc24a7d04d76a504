//! Coverage of the modes of a mixture by samples.

use crate::histogram::check_plane;
use crate::{Error, Features};

/// A sample within this many standard deviations of a mode is of high quality.
const REACH: f64 = 3.0;

/// How samples cover the modes of a mixture of equal weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ModeCoverage {
    /// Samples of high quality at each mode, in the order of the centres.
    pub counts: Vec<u64>,
    /// Number of modes with at least one of them.
    pub modes_hit: usize,
    /// Share of the samples within 3 standard deviations of a mode, in [0, 1]; 98.9 % for the
    /// mixture itself.
    pub high_quality: f64,
    /// KL divergence, in nats, of the samples' weights from equal ones, counting each sample for
    /// the nearest mode: 0 is best, ln M means a single mode of M.
    pub weights_kl: f64,
}

/// Counts `samples` at the modes of a mixture of equal, isotropic Gaussians in the plane.
///
/// * `centres`: centres of the modes, at least one.
/// * `stdev`: standard deviation of a mode along an axis, in the units of the points; above 0.
///
/// # Errors
///
/// [`Error::Shape`] unless rows have two values; [`Error::TooFew`] without rows; [`Error::Option`]
/// if a centre or `stdev` is out of range.
///
/// # Source
///
/// Lin et al. 2018 (PacGAN), §4.1, <https://arxiv.org/abs/1712.04086>.
pub fn mode_coverage(
    samples: &Features,
    centres: &[[f64; 2]],
    stdev: f64,
) -> Result<ModeCoverage, Error> {
    check_plane(samples)?;
    if centres.is_empty() || !centres.as_flattened().iter().all(|x| x.is_finite()) {
        let reason = "must be at least one point with finite coordinates".into();
        return Err(Error::Option { option: "centres", reason });
    }
    if !(stdev.is_finite() && stdev > 0.0) {
        let reason = format!("must be a number above 0, got {stdev}");
        return Err(Error::Option { option: "stdev", reason });
    }
    let mut counts = vec![0; centres.len()];
    let mut nearest_counts = vec![0_u64; centres.len()];
    for point in samples.rows() {
        let (nearest, square) = nearest(centres, [point[0].into(), point[1].into()]);
        nearest_counts[nearest] += 1;
        counts[nearest] += u64::from(square <= (REACH * stdev).powi(2));
    }
    let total = samples.len() as f64;
    Ok(ModeCoverage {
        modes_hit: counts.iter().filter(|&&count| count > 0).count(),
        high_quality: counts.iter().sum::<u64>() as f64 / total,
        weights_kl: nearest_counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| count as f64 / total)
            .map(|weight| weight * (weight * centres.len() as f64).ln())
            .sum(),
        counts,
    })
}

/// Returns the nearest centre and its squared distance.
fn nearest(centres: &[[f64; 2]], [x, y]: [f64; 2]) -> (usize, f64) {
    let squares = centres.iter().map(|centre| (centre[0] - x).powi(2) + (centre[1] - y).powi(2));
    let first = (0, f64::INFINITY);
    squares.enumerate().fold(first, |best, next| if next.1 < best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRES: [[f64; 2]; 4] = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];

    fn coverage(points: &[[f32; 2]]) -> ModeCoverage {
        let samples = Features::from_rows(2, points.as_flattened().to_vec()).unwrap();
        mode_coverage(&samples, &CENTRES, 0.1).unwrap()
    }

    #[test]
    fn modes_quality_and_weights_by_hand() {
        let got = coverage(&[[1.0, 0.0], [1.2, 0.1], [0.0, 1.0], [-0.6, 0.0]]);
        assert_eq!(got.counts, [2, 1, 0, 0]);
        assert_eq!(got.modes_hit, 2);
        assert_eq!(got.high_quality, 0.75);
        // Weights 2/4, 1/4, 1/4, 0 from four quarters.
        assert!((got.weights_kl - 0.5 * 2.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn one_mode_of_four_diverges_by_ln_4_and_all_by_0() {
        assert!((coverage(&[[1.0, 0.0], [0.95, 0.0]]).weights_kl - 4.0_f64.ln()).abs() < 1e-15);
        let all = CENTRES.map(|[x, y]| [x as f32, y as f32]);
        assert_eq!((coverage(&all).weights_kl, coverage(&all).modes_hit), (0.0, 4));
    }

    #[test]
    fn three_standard_deviations_are_measured_in_the_plane() {
        // 0.22 along both axes is 0.311 away.
        assert_eq!(coverage(&[[1.22, 0.22]]).modes_hit, 0);
        assert_eq!(coverage(&[[1.21, 0.21]]).modes_hit, 1);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let samples = Features::from_rows(2, vec![0.0; 2]).unwrap();
        for (centres, stdev) in
            [(&CENTRES[..0], 0.1), (&CENTRES[..], 0.0), (&CENTRES[..], f64::NAN)]
        {
            assert!(matches!(mode_coverage(&samples, centres, stdev), Err(Error::Option { .. })));
        }
    }
}
