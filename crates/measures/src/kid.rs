//! Kernel distance: the unbiased squared maximum mean discrepancy.

use rayon::prelude::*;

use crate::draws::{Purpose, SubsetDraws};
use crate::features::check_pair;
use crate::matrix::{inner_products, widened};
use crate::{Error, Features};

/// Subsets over which the kernel distance is averaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KidOptions {
    /// Number of subsets, at least 1.
    pub subsets: usize,
    /// Rows of each set in a subset, drawn without repeats; at least 2.
    pub subset_size: usize,
    /// Seed of the choice of rows.
    pub seed: u64,
}

impl Default for KidOptions {
    fn default() -> Self {
        Self { subsets: 100, subset_size: 1000, seed: 0 }
    }
}

/// A kernel distance over subsets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kid {
    /// Mean over the subsets. The estimate is unbiased, so it may be negative.
    pub mean: f64,
    /// Standard deviation over the subsets (divided by their number): of one subset, not of the
    /// mean.
    pub stdev: f64,
}

/// Computes the kernel distance (KID if the features are Inception's): the mean of
/// [`polynomial_mmd2`] over random subsets.
///
/// # Errors
///
/// [`Error::Dimension`] if the sets have different numbers of features; [`Error::Option`] without
/// subsets, or with subsets of fewer than 2 rows or of more than a set has.
///
/// # Source
///
/// Bińkowski et al. 2018, §4, <https://arxiv.org/abs/1801.01401>.
pub fn kid(left: &Features, right: &Features, options: &KidOptions) -> Result<Kid, Error> {
    check_pair("kernel distance", 2, left, right)?;
    let &KidOptions { subsets, subset_size, seed } = options;
    let dim = left.dim();
    let rows = left.len().min(right.len());
    if subsets == 0 {
        return Err(Error::Option { option: "subsets", reason: "must be at least 1".into() });
    }
    if subset_size < 2 || subset_size > rows {
        let reason =
            format!("must be from 2 to the {rows} rows of the smaller set, got {subset_size}");
        return Err(Error::Option { option: "subset_size", reason });
    }
    let first = SubsetDraws::new(seed, Purpose::FirstSubset);
    let second = SubsetDraws::new(seed, Purpose::SecondSubset);
    let estimates = (0..subsets).into_par_iter().map(|index| {
        let left = gathered(left, &first.subset(index, left.len(), subset_size));
        let right = gathered(right, &second.subset(index, right.len(), subset_size));
        mmd2(&left, &right, dim)
    });
    let estimates: Vec<f64> = estimates.collect();
    let mean = estimates.iter().sum::<f64>() / subsets as f64;
    let variance = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / subsets as f64;
    Ok(Kid { mean, stdev: variance.sqrt() })
}

/// Computes the unbiased squared MMD between whole sets under the kernel (x·y/D + 1)³.
///
/// # Errors
///
/// [`Error::Dimension`] if the sets have different numbers of features;
/// [`Error::TooFew`] if one has less than 2 rows.
///
/// # Source
///
/// Gretton et al. 2012, eq. 3, <https://jmlr.org/papers/v13/gretton12a.html>.
pub fn polynomial_mmd2(left: &Features, right: &Features) -> Result<f64, Error> {
    check_pair("kernel distance", 2, left, right)?;
    let dim = left.dim();
    Ok(mmd2(&widened(left, 0..left.len()), &widened(right, 0..right.len()), dim))
}

fn gathered(features: &Features, rows: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|&row| features.row(row)).copied().map(f64::from).collect()
}

fn mmd2(left: &[f64], right: &[f64], dim: usize) -> f64 {
    let (n, m) = ((left.len() / dim) as f64, (right.len() / dim) as f64);
    let within = |rows: &[f64], n: f64| {
        let diagonal: f64 =
            rows.chunks_exact(dim).map(|row| kernel(row.iter().map(|x| x * x).sum(), dim)).sum();
        (kernel_sum(rows, rows, dim) - diagonal) / (n * (n - 1.0))
    };
    within(left, n) + within(right, m) - 2.0 * kernel_sum(left, right, dim) / (n * m)
}

/// Sums k(x, y) over all pairs, a tile of rows at a time.
fn kernel_sum(left: &[f64], right: &[f64], dim: usize) -> f64 {
    const TILE: usize = 256;
    let mut products = vec![0.0; TILE * (right.len() / dim)];
    left.chunks(TILE * dim)
        .map(|rows| {
            let products = &mut products[..rows.len() / dim * (right.len() / dim)];
            inner_products(dim, rows, right, products);
            products.iter().map(|&product| kernel(product, dim)).sum::<f64>()
        })
        .sum()
}

fn kernel(product: f64, dim: usize) -> f64 {
    (product / dim as f64 + 1.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand_on_two_points_each() {
        // D = 1: k(x, y) = (xy + 1)³.
        let left = Features::from_rows(1, vec![0.0, 1.0]).unwrap();
        let right = Features::from_rows(1, vec![2.0, -1.0]).unwrap();
        // k(0, 1) = 1; k(2, -1) = -1; across the sets 1, 1, 27, 0.
        let want = 1.0 + -1.0 - 2.0 * (1.0 + 1.0 + 27.0 + 0.0) / 4.0;
        assert!((polynomial_mmd2(&left, &right).unwrap() - want).abs() < 1e-14);
    }

    #[test]
    fn one_subset_of_all_rows_is_the_whole() {
        let values = |k: u32| (0..120).map(|i| ((i * k) % 17) as f32 / 7.0).collect();
        let left = Features::from_rows(3, values(5)).unwrap();
        let right = Features::from_rows(3, values(11)).unwrap();
        let options = KidOptions { subsets: 2, subset_size: 40, seed: 3 };
        let got = kid(&left, &right, &options).unwrap();
        assert!((got.mean - polynomial_mmd2(&left, &right).unwrap()).abs() < 1e-12);
        assert!(got.stdev < 1e-12);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let set = Features::from_rows(1, vec![0.0; 10]).unwrap();
        for (subsets, subset_size) in [(0, 5), (1, 1), (1, 11)] {
            let options = KidOptions { subsets, subset_size, seed: 0 };
            assert!(matches!(kid(&set, &set, &options), Err(Error::Option { .. })));
        }
    }
}
