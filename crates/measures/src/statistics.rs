//! Mean and covariance of rows that arrive in batches.
//!
//! Rows are collected in blocks of a fixed size, and blocks are merged by the pairwise formula,
//! which subtracts means before it multiplies, so features far from 0 lose no digits. Since blocks
//! do not depend on batches, neither do the results.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef};

use crate::features::check_batch;
use crate::gaussian::MAX_DIM;
use crate::{Error, Features, Gaussian};

/// Rows merged at a time.
const BLOCK: usize = 256;

/// Count, mean and scatter of the rows seen, in f64: D² numbers for any number of rows.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Rows already in `mean` and `scatter`.
    settled: u64,
    mean: Vec<f64>,
    /// Σ (x − mean)(x − mean)ᵀ; only the lower triangle is used.
    scatter: Vec<f64>,
    /// Rows of the block being filled.
    block: Vec<f64>,
}

impl Statistics {
    /// Creates statistics of no rows, for `dim` features.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] unless `dim` is in 1..=[`MAX_DIM`].
    pub fn new(dim: usize) -> Result<Self, Error> {
        if dim == 0 || dim > MAX_DIM {
            let message =
                format!("a covariance is kept for 1 to {MAX_DIM} features per row, not {dim}");
            return Err(Error::Shape(message));
        }
        Ok(Self {
            settled: 0,
            mean: vec![0.0; dim],
            scatter: vec![0.0; dim * dim],
            block: Vec::new(),
        })
    }

    /// Computes the statistics of a whole set.
    ///
    /// # Errors
    ///
    /// As [`Statistics::new`].
    pub fn of(features: &Features) -> Result<Self, Error> {
        let mut statistics = Self::new(features.dim())?;
        statistics.add(features.values());
        Ok(statistics)
    }

    /// Adds a batch, `[n, D]` in C order. A refused batch changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the batch is not a whole number of rows; [`Error::NotFinite`] names the
    /// first NaN or infinity, counting rows over all batches.
    pub fn push(&mut self, batch: &[f32]) -> Result<(), Error> {
        let before = usize::try_from(self.count()).unwrap_or(usize::MAX);
        check_batch(self.dim(), before, batch)?;
        self.add(batch);
        Ok(())
    }

    /// Returns D, the number of features per row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Returns N, the number of rows seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.settled + (self.block.len() / self.dim()) as u64
    }

    /// Returns the mean and the unbiased covariance, Σ (x − mean)(x − mean)ᵀ / (N − 1).
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] below 2 rows.
    pub fn gaussian(&self) -> Result<Gaussian, Error> {
        if self.count() < 2 {
            let got = usize::try_from(self.count()).unwrap_or(usize::MAX);
            return Err(Error::TooFew { measure: "a covariance", least: 2, got });
        }
        let mut all = self.clone();
        all.settle();
        let (dim, degrees) = (all.dim(), (all.settled - 1) as f64);
        for row in 0..dim {
            for column in 0..=row {
                let covariance = all.scatter[row * dim + column] / degrees;
                all.scatter[row * dim + column] = covariance;
                all.scatter[column * dim + row] = covariance;
            }
        }
        Gaussian::new(all.mean, all.scatter)
    }

    /// Adds whole rows of finite numbers.
    fn add(&mut self, mut rows: &[f32]) {
        let full = BLOCK * self.dim();
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(full - self.block.len()));
            self.block.extend(now.iter().copied().map(f64::from));
            rows = later;
            if self.block.len() == full {
                self.settle();
            }
        }
    }

    /// Merges the block into mean and scatter.
    fn settle(&mut self) {
        let dim = self.dim();
        let mut rows = std::mem::take(&mut self.block);
        if rows.is_empty() {
            return;
        }
        let count = rows.len() / dim;
        let mut mean = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
        }
        mean.iter_mut().for_each(|mean| *mean /= count as f64);
        for row in rows.chunks_exact_mut(dim) {
            row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
        }
        self.shift(count as u64, &mean, rows);
    }

    /// Moves the mean to that of both parts, and adds the scatter of the move and of `centred`,
    /// rows less their own mean.
    ///
    /// # Source
    ///
    /// Chan, Golub and LeVeque 1983, eq. 2.1b, <https://doi.org/10.1080/00031305.1983.10483115>.
    fn shift(&mut self, count: u64, mean: &[f64], mut centred: Vec<f64>) {
        if count == 0 {
            return;
        }
        let (here, there) = (self.settled as f64, count as f64);
        let all = here + there;
        // The move is one more row: δ √(n m / (n + m)).
        let weight = (here * there / all).sqrt();
        for (ours, theirs) in self.mean.iter_mut().zip(mean) {
            let delta = theirs - *ours;
            centred.push(delta * weight);
            *ours += delta * there / all;
        }
        self.settled += count;
        add_gram(&mut self.scatter, &centred, self.mean.len());
    }
}

/// Adds rowsᵀ · rows to the lower triangle of `out`, `[D, D]`.
fn add_gram(out: &mut [f64], rows: &[f64], dim: usize) {
    let rows = MatRef::from_row_major_slice(rows, rows.len() / dim, dim);
    triangular::matmul(
        MatMut::from_row_major_slice_mut(out, dim, dim),
        BlockStructure::TriangularLower,
        Accum::Add,
        rows.transpose(),
        BlockStructure::Rectangular,
        rows,
        BlockStructure::Rectangular,
        1.0,
        faer::get_global_parallelism(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns 700 rows of 3, more than two blocks; `offset` moves them away from 0.
    fn rows(offset: f32) -> Vec<f32> {
        let wave = |i: u32| ((i * 7919 % 1000) as f32 / 1000.0).powi(2) + (i % 3) as f32;
        (0..2100).map(|i| wave(i) + offset).collect()
    }

    /// Computes mean and covariance in two passes, in textbook form.
    fn two_passes(rows: &[f32], dim: usize) -> (Vec<f64>, Vec<f64>) {
        let count = (rows.len() / dim) as f64;
        let column = |j: usize| rows.iter().skip(j).step_by(dim).copied().map(f64::from);
        let mean: Vec<f64> = (0..dim).map(|j| column(j).sum::<f64>() / count).collect();
        let covariance = (0..dim * dim).map(|at| {
            let (i, j) = (at / dim, at % dim);
            let products = column(i).zip(column(j)).map(|(x, y)| (x - mean[i]) * (y - mean[j]));
            products.sum::<f64>() / (count - 1.0)
        });
        (mean.clone(), covariance.collect())
    }

    fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= tolerance, "{got} for {want}");
        }
    }

    #[test]
    fn streaming_agrees_with_two_passes() {
        for offset in [0.0, 1000.0] {
            let rows = rows(offset);
            let mut statistics = Statistics::new(3).unwrap();
            statistics.push(&rows).unwrap();
            let got = statistics.gaussian().unwrap();
            let (mean, covariance) = two_passes(&rows, 3);
            assert_close(got.mean(), &mean, 1e-14 * (1.0 + f64::from(offset)));
            assert_close(got.covariance(), &covariance, 1e-12);
        }
    }

    #[test]
    fn features_far_from_0_lose_no_digits() {
        // 2²⁰ and quarters are exact in f32: the covariance must be that of the quarters.
        let near: Vec<f32> = (0..600u32).map(|i| (i * 37 % 64) as f32 / 4.0).collect();
        let far: Vec<f32> = near.iter().map(|x| x + 1_048_576.0).collect();
        let covariance = |rows: &[f32]| {
            let features = Features::from_rows(2, rows.to_vec()).unwrap();
            Statistics::of(&features).unwrap().gaussian().unwrap().covariance().to_vec()
        };
        assert_close(&covariance(&far), &covariance(&near), 1e-11);
    }

    #[test]
    fn the_split_into_batches_does_not_change_a_bit() {
        let rows = rows(0.5);
        let mut whole = Statistics::new(3).unwrap();
        whole.push(&rows).unwrap();
        let mut parts = Statistics::new(3).unwrap();
        rows.chunks(3 * 11).for_each(|batch| parts.push(batch).unwrap());
        assert_eq!(parts.count(), 700);
        assert_eq!(parts.gaussian().unwrap(), whole.gaussian().unwrap());
    }

    #[test]
    fn faults_are_named() {
        let mut statistics = Statistics::new(2).unwrap();
        statistics.push(&[0.0; 2]).unwrap();
        assert!(matches!(statistics.gaussian(), Err(Error::TooFew { got: 1, .. })));
        let fault = statistics.push(&[0.0, 1.0, f32::INFINITY, 0.0]).unwrap_err();
        assert!(matches!(fault, Error::NotFinite { row: 2, column: 0, .. }), "{fault}");
        assert_eq!(statistics.count(), 1);
        assert!(matches!(Statistics::new(MAX_DIM + 1), Err(Error::Shape(_))));
    }
}
