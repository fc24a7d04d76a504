//! Three toy sets in the plane: Gaussian modes on a circle or a grid, and the Swiss roll.
//!
//! Formulas and normalisers are ddpm-torch's, which keeps distances comparable. Unlike there, point
//! i is a pure function of (seed, split, i). Each coordinate has variance 1, except the roll's
//! second, which has 1.09.

use std::f64::consts::{FRAC_PI_4, PI};
use std::fmt;

use crate::Split;
use crate::draws::ItemDraws;

/// Formula of a toy set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToyKind {
    /// A noisy spiral: (t cos t, t sin t), t uniform in [1.5π, 4.5π].
    SwissRoll,
    /// Eight modes on a circle of radius 2.
    Gaussian8,
    /// Twenty-five modes on a square grid of pitch 2.
    Gaussian25,
}

impl ToyKind {
    /// Returns the standard deviation of the noise around a mode or around the spiral, before
    /// scaling.
    fn noise(self) -> f64 {
        match self {
            Self::SwissRoll => 0.25,
            Self::Gaussian8 => 0.02,
            Self::Gaussian25 => 0.05,
        }
    }

    /// Returns the divisor of each coordinate: for Gaussian modes, the root of the modes' variance
    /// plus the noise's.
    #[must_use]
    pub fn scale(self) -> [f64; 2] {
        match self {
            // The reference's constants. The second subtracts the mean of the first coordinate, 2,
            // instead of its own, 0.21; we keep it because published numbers use it.
            Self::SwissRoll => [6.627_731_244_951_821, 6.665_344_811_434_036],
            Self::Gaussian8 => [(self.noise().powi(2) + 2.0).sqrt(); 2],
            Self::Gaussian25 => [(self.noise().powi(2) + 8.0).sqrt(); 2],
        }
    }

    /// Returns the centres of the modes at model scale, in the order in which points take turns;
    /// none for the Swiss roll.
    #[must_use]
    pub fn mode_centres(self) -> Vec<[f64; 2]> {
        let [scale_x, scale_y] = self.scale();
        (0..self.num_modes())
            .map(|mode| self.raw_centre(mode))
            .map(|[x, y]| [x / scale_x, y / scale_y])
            .collect()
    }

    /// Returns the standard deviation of points around their mode at model scale; `None` for the
    /// Swiss roll.
    #[must_use]
    pub fn mode_stdev(self) -> Option<f64> {
        (self.num_modes() > 0).then(|| self.noise() / self.scale()[0])
    }

    fn num_modes(self) -> usize {
        match self {
            Self::SwissRoll => 0,
            Self::Gaussian8 => 8,
            Self::Gaussian25 => 25,
        }
    }

    fn raw_centre(self, mode: usize) -> [f64; 2] {
        match self {
            Self::SwissRoll => [0.0, 0.0],
            Self::Gaussian8 => {
                let (sin, cos) = (mode as f64 * FRAC_PI_4).sin_cos();
                [2.0 * cos, 2.0 * sin]
            }
            Self::Gaussian25 => [2.0 * (mode / 5) as f64 - 4.0, 2.0 * (mode % 5) as f64 - 4.0],
        }
    }
}

impl fmt::Display for ToyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwissRoll => "swissroll",
            Self::Gaussian8 => "gaussian8",
            Self::Gaussian25 => "gaussian25",
        })
    }
}

/// Returns the mode of point `index`, an index into [`ToyKind::mode_centres`]; `None` for the Swiss
/// roll.
///
/// Modes take turns: point i belongs to mode i mod 8 or i mod 25, so every prefix is balanced.
pub(crate) fn mode(kind: ToyKind, index: usize) -> Option<usize> {
    index.checked_rem(kind.num_modes())
}

/// Draws point `index` of a toy set, at model scale: coordinates of about unit variance.
#[must_use]
pub fn point(kind: ToyKind, seed: u64, split: Split, index: usize) -> [f32; 2] {
    let mut draws = ItemDraws::new(seed, split, index);
    let [x, y] = match mode(kind, index) {
        Some(mode) => kind.raw_centre(mode),
        None => {
            let t = 1.5 * PI * draws.uniform(1.0, 3.0);
            [t * t.cos(), t * t.sin()]
        }
    };
    let [noise_x, noise_y] = draws.normal_pair(kind.noise());
    let [scale_x, scale_y] = kind.scale();
    [((x + noise_x) / scale_x) as f32, ((y + noise_y) / scale_y) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ToyKind; 3] = [ToyKind::SwissRoll, ToyKind::Gaussian8, ToyKind::Gaussian25];

    fn points(kind: ToyKind, count: usize) -> Vec<[f64; 2]> {
        (0..count).map(|i| point(kind, 0, Split::Train, i).map(f64::from)).collect()
    }

    #[test]
    fn every_coordinate_of_gaussian_modes_has_mean_0_and_variance_1() {
        for kind in [ToyKind::Gaussian8, ToyKind::Gaussian25] {
            let points = points(kind, 40_000);
            for axis in 0..2 {
                let mean = points.iter().map(|p| p[axis]).sum::<f64>() / points.len() as f64;
                let variance = points.iter().map(|p| (p[axis] - mean).powi(2)).sum::<f64>()
                    / points.len() as f64;
                assert!(mean.abs() < 1e-3, "{kind} axis {axis}: mean {mean}");
                assert!((variance - 1.0).abs() < 1e-3, "{kind} axis {axis}: variance {variance}");
            }
        }
    }

    /// Averages a function of the roll's parameter, by the midpoint rule.
    fn mean_over_the_roll(f: fn(f64) -> f64) -> f64 {
        let n = 100_000;
        let t = |i: u32| 1.5 * PI * (1.0 + 2.0 * (f64::from(i) + 0.5) / f64::from(n));
        (0..n).map(|i| f(t(i))).sum::<f64>() / f64::from(n)
    }

    #[test]
    fn the_swiss_roll_normalisers_are_those_of_the_formula() {
        let mean_x = mean_over_the_roll(|t| t * t.cos());
        assert!((mean_x - 2.0).abs() < 1e-6, "{mean_x}");
        let mean_squares = [
            mean_over_the_roll(|t| (t * t.cos()).powi(2)),
            mean_over_the_roll(|t| (t * t.sin()).powi(2)),
        ];
        for (scale, mean_square) in ToyKind::SwissRoll.scale().into_iter().zip(mean_squares) {
            let expected = (mean_square - mean_x.powi(2) + 0.25_f64.powi(2)).sqrt();
            assert!((scale - expected).abs() < 1e-6, "{scale} {expected}");
        }
    }

    #[test]
    fn swiss_roll_points_have_the_moments_of_the_formula() {
        let scale = ToyKind::SwissRoll.scale();
        let points = points(ToyKind::SwissRoll, 40_000);
        let expected = [
            (mean_over_the_roll(|t| t * t.cos()), mean_over_the_roll(|t| (t * t.cos()).powi(2))),
            (mean_over_the_roll(|t| t * t.sin()), mean_over_the_roll(|t| (t * t.sin()).powi(2))),
        ];
        for (axis, (mean, mean_square)) in expected.into_iter().enumerate() {
            let moment = |k| {
                points.iter().map(|p| (p[axis] * scale[axis]).powi(k)).sum::<f64>()
                    / points.len() as f64
            };
            // About four standard errors: the deviations are 6.9 and, of the squares, 52.
            assert!((moment(1) - mean).abs() < 0.14, "axis {axis}: {} {mean}", moment(1));
            assert!(
                (moment(2) - mean_square - 0.0625).abs() < 1.1,
                "axis {axis}: {} {mean_square}",
                moment(2)
            );
        }
    }

    #[test]
    fn points_scatter_around_the_mode_whose_turn_it_is() {
        for kind in [ToyKind::Gaussian8, ToyKind::Gaussian25] {
            let (centres, stdev) = (kind.mode_centres(), kind.mode_stdev().unwrap());
            let points = points(kind, 20_000);
            let mut variance = 0.0;
            for (i, [x, y]) in points.iter().enumerate() {
                let [cx, cy] = centres[i % centres.len()];
                let squared = (x - cx).powi(2) + (y - cy).powi(2);
                assert!(squared.sqrt() < 6.0 * stdev, "{kind} {i}");
                variance += squared / (2.0 * points.len() as f64);
            }
            assert!((variance.sqrt() / stdev - 1.0).abs() < 0.02, "{kind}");
        }
    }

    #[test]
    fn swiss_roll_points_lie_near_the_spiral() {
        let [scale_x, scale_z] = ToyKind::SwissRoll.scale();
        for [x, z] in points(ToyKind::SwissRoll, 5_000) {
            // Along the spiral the radius is the angle plus whole turns, up to six standard
            // deviations of the noise and the angle it subtends at the smallest radius.
            let (x, z) = (x * scale_x, z * scale_z);
            let (radius, angle) = (x.hypot(z), z.atan2(x));
            let turns = (radius - angle) / (2.0 * PI);
            assert!(
                (turns - turns.round()).abs() * 2.0 * PI < 6.0 * 0.25 * (1.0 + 1.0 / 4.0),
                "({x}, {z})"
            );
            assert!((1.5 * PI - 1.5..=4.5 * PI + 1.5).contains(&radius), "({x}, {z})");
        }
    }

    #[test]
    fn a_point_is_a_pure_function_of_seed_split_and_index() {
        for kind in KINDS {
            assert_eq!(point(kind, 7, Split::Train, 3), point(kind, 7, Split::Train, 3));
            assert_ne!(point(kind, 7, Split::Train, 3), point(kind, 8, Split::Train, 3));
            assert_ne!(point(kind, 7, Split::Train, 3), point(kind, 7, Split::Test, 3));
        }
    }

    #[test]
    fn the_swiss_roll_has_no_modes() {
        assert!(ToyKind::SwissRoll.mode_centres().is_empty());
        assert_eq!(ToyKind::SwissRoll.mode_stdev(), None);
    }
}
