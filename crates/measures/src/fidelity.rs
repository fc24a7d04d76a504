//! Precision and recall, density and coverage: whether samples look like data, and whether all data
//! has similar samples.

use std::ops::Range;

use rayon::prelude::*;

use crate::distances::TILE;
use crate::features::check_pair;
use crate::manifold::{for_each_tile, tile_at};
use crate::{Error, Manifold};

/// Numbers of neighbours that define the balls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FidelityOptions {
    /// k of precision and recall.
    pub precision_neighbours: usize,
    /// k of density and coverage.
    pub density_neighbours: usize,
}

impl Default for FidelityOptions {
    /// Returns the papers' values: 3 and 5.
    fn default() -> Self {
        Self { precision_neighbours: 3, density_neighbours: 5 }
    }
}

/// Shares of rows inside balls around rows of the other set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fidelity {
    /// Share of samples within a ball of the data, in [0, 1].
    pub precision: f64,
    /// Share of the data within a ball of the samples, in [0, 1].
    pub recall: f64,
    /// Mean number of balls of the data that hold a sample, divided by k: 1 is expected for samples
    /// distributed like the data, more is possible.
    pub density: f64,
    /// Share of the data with a sample in its ball, in [0, 1].
    pub coverage: f64,
}

/// Compares samples with data, in one pass over all distances.
///
/// As in the authors' programs, a ball includes its border for precision and recall, but not for
/// density and coverage. This matters only for sets that share rows.
///
/// * `data`, `samples`: with at least the neighbours of the options, and one arithmetic.
///
/// # Errors
///
/// [`Error::Dimension`] if the sets have different numbers of features; [`Error::Option`] if a
/// manifold knows fewer neighbours than requested, or the arithmetics differ.
///
/// # Source
///
/// Kynkäänniemi et al. 2019, eq. 1 and 2, <https://arxiv.org/abs/1904.06991>; Naeem et
/// al. 2020, eq. 4 and 6, <https://arxiv.org/abs/2002.09797>.
pub fn fidelity(
    data: &Manifold,
    samples: &Manifold,
    options: FidelityOptions,
) -> Result<Fidelity, Error> {
    let (rows, columns) = (data.set.features, samples.set.features);
    check_pair("precision and recall", 1, rows, columns)?;
    if data.set.arithmetic != samples.set.arithmetic {
        let reason = "must be the same for data and samples".into();
        return Err(Error::Option { option: "arithmetic", reason });
    }
    let data_balls = data.measures(options.precision_neighbours)?;
    let sample_balls = samples.measures(options.precision_neighbours)?;
    let density_balls = data.measures(options.density_neighbours)?;

    let balls = Balls { data: &data_balls, samples: &sample_balls, density: &density_balls };
    let counts = (0..rows.len().div_ceil(TILE.0)).into_par_iter().map(|tile| {
        let range = tile_at(tile, TILE.0, rows.len());
        let mut counts = Counts::new(range.len(), columns.len());
        for_each_tile(&data.set, range.clone(), &samples.set, |measures, columns| {
            for (line, row) in measures.chunks_exact(columns.len()).zip(range.clone()) {
                counts.add(line, row - range.start, row, columns.clone(), &balls);
            }
        });
        counts
    });
    let all = counts.reduce_with(Counts::joined).expect("a manifold has rows");
    let share = |hits: &[bool]| hits.iter().filter(|&&hit| hit).count() as f64 / hits.len() as f64;
    let expected = options.density_neighbours as f64 * columns.len() as f64;
    Ok(Fidelity {
        precision: share(&all.near_data),
        recall: share(&all.near_samples),
        density: all.inside as f64 / expected,
        coverage: share(&all.covered),
    })
}

/// Radii of the balls around all rows, as measures of a manifold.
struct Balls<'a> {
    /// Around the data, for precision.
    data: &'a [f64],
    /// Around the samples, for recall.
    samples: &'a [f64],
    /// Around the data, for density and coverage.
    density: &'a [f64],
}

/// Counts over some rows of the data.
struct Counts {
    /// For each sample: whether a ball of the data holds it.
    near_data: Vec<bool>,
    /// For each row of the data: whether a ball of the samples holds it.
    near_samples: Vec<bool>,
    /// For each row of the data: whether its ball holds a sample.
    covered: Vec<bool>,
    /// Pairs of a sample and a ball of the data that holds it.
    inside: u64,
}

impl Counts {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            near_data: vec![false; columns],
            near_samples: vec![false; rows],
            covered: vec![false; rows],
            inside: 0,
        }
    }

    /// Adds the measures from one row of the data to the samples `columns`.
    ///
    /// * `at`: index of the row among those counted here; `row`: its index in the data.
    fn add(
        &mut self,
        line: &[f64],
        at: usize,
        row: usize,
        columns: Range<usize>,
        balls: &Balls<'_>,
    ) {
        for (near, &measure) in self.near_data[columns.clone()].iter_mut().zip(line) {
            *near |= measure <= balls.data[row];
        }
        let sample_balls = &balls.samples[columns];
        self.near_samples[at] |= line.iter().zip(sample_balls).any(|(d, ball)| d <= ball);
        let inside = line.iter().filter(|&&d| d < balls.density[row]).count();
        self.inside += inside as u64;
        self.covered[at] |= inside > 0;
    }

    /// Joins the counts of the rows that follow.
    fn joined(mut self, next: Self) -> Self {
        self.near_data.iter_mut().zip(next.near_data).for_each(|(near, other)| *near |= other);
        self.near_samples.extend(next.near_samples);
        self.covered.extend(next.covered);
        self.inside += next.inside;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arithmetic, Features};

    fn fidelity_of(data: &[f32], samples: &[f32], k: usize) -> Fidelity {
        let data = Features::from_rows(1, data.to_vec()).unwrap();
        let samples = Features::from_rows(1, samples.to_vec()).unwrap();
        let options = FidelityOptions { precision_neighbours: k, density_neighbours: k };
        let data = Manifold::new(&data, k, Arithmetic::F64).unwrap();
        let samples = Manifold::new(&samples, k, Arithmetic::F64).unwrap();
        fidelity(&data, &samples, options).unwrap()
    }

    #[test]
    fn by_hand_on_a_line() {
        // Balls of the data: 0 ± 1, 1 ± 1, 5 ± 4. Of the samples: 2 ± 8, 10 ± 8.
        let got = fidelity_of(&[0.0, 1.0, 5.0], &[2.0, 10.0], 1);
        // 2 is on the border of 1's ball and inside 5's; 10 is in none. 0, 1, 5 are in 2's.
        let want = Fidelity { precision: 0.5, recall: 1.0, density: 0.5, coverage: 1.0 / 3.0 };
        assert_eq!(got, want);
    }

    #[test]
    fn a_set_is_a_perfect_sample_of_itself() {
        let set: Vec<f32> = (0..3000u32).map(|i| (i * 7919 % 10_007) as f32 / 64.0).collect();
        let want = Fidelity { precision: 1.0, recall: 1.0, density: 1.0, coverage: 1.0 };
        let got = fidelity_of(&set, &set, 3);
        assert_eq!((got.precision, got.recall, got.coverage), (1.0, 1.0, 1.0));
        // Where gaps on both sides are equal, the row on the border does not count.
        assert!(got.density <= want.density && got.density > 0.5, "{got:?}");
    }

    #[test]
    fn a_lost_mode_lowers_recall_and_coverage_only() {
        let data: Vec<f32> =
            (0..400u16).map(|i| f32::from(i % 200) + 1e4 * f32::from(i / 200)).collect();
        let got = fidelity_of(&data, &data[..200], 3);
        assert_eq!((got.precision, got.recall, got.coverage), (1.0, 0.5, 0.5));
    }

    #[test]
    fn arithmetics_are_not_mixed() {
        let set = Features::from_rows(1, vec![0.0, 1.0, 2.0, 4.0]).unwrap();
        let exact = Manifold::new(&set, 1, Arithmetic::F64).unwrap();
        let half = Manifold::new(&set, 1, Arithmetic::F16).unwrap();
        let options = FidelityOptions { precision_neighbours: 1, density_neighbours: 1 };
        assert!(matches!(fidelity(&exact, &half, options), Err(Error::Option { .. })));
        assert!(matches!(
            fidelity(&exact, &exact, FidelityOptions::default()),
            Err(Error::Option { .. })
        ));
    }
}
