//! Sliced Wasserstein distance: transport on a line is sorting, and the projections on all lines
//! determine a set.

use rayon::prelude::*;

use crate::draws::{Purpose, SubsetDraws};
use crate::features::check_pair;
use crate::matrix::{inner_products, widened};
use crate::{Error, Features};

/// Cost of moving by a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// p = 1: the distance.
    First,
    /// p = 2: its square; the result is the root of the mean cost.
    Second,
}

/// Order and directions of the distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicedOptions {
    /// The order p.
    pub order: Order,
    /// Number of directions P, at least 1. The error falls as 1/√P.
    pub projections: usize,
    /// Seed of the directions.
    pub seed: u64,
}

impl Default for SlicedOptions {
    fn default() -> Self {
        Self { order: Order::Second, projections: 256, seed: 0 }
    }
}

/// Computes (mean over directions of W_p^p)^(1/p), with W_p the exact distance between the
/// projected sets, which may differ in size. In the units of the features.
///
/// # Errors
///
/// [`Error::Dimension`] if the sets have different numbers of features;
/// [`Error::TooFew`] if one is empty; [`Error::Option`] without directions.
///
/// # Source
///
/// Bonneel et al. 2015, §2.3, <https://doi.org/10.1007/s10851-014-0506-3>.
pub fn sliced_wasserstein(
    left: &Features,
    right: &Features,
    options: &SlicedOptions,
) -> Result<f64, Error> {
    let draws = SubsetDraws::new(options.seed, Purpose::Direction);
    let dim = left.dim();
    let directions: Vec<f64> =
        (0..options.projections).flat_map(|index| draws.direction(index, dim)).collect();
    sliced_wasserstein_along(left, right, &directions, options.order)
}

/// Computes [`sliced_wasserstein`] along `directions`, `[P, D]` in C order, which should have
/// length 1.
///
/// # Errors
///
/// As there, and [`Error::Shape`] if `directions` is not a whole number of rows.
pub fn sliced_wasserstein_along(
    left: &Features,
    right: &Features,
    directions: &[f64],
    order: Order,
) -> Result<f64, Error> {
    check_pair("sliced Wasserstein distance", 1, left, right)?;
    let dim = left.dim();
    if directions.is_empty() {
        return Err(Error::Option { option: "projections", reason: "must be at least 1".into() });
    }
    if !directions.len().is_multiple_of(dim) {
        let message =
            format!("{} values are not a whole number of directions of {dim}", directions.len());
        return Err(Error::Shape(message));
    }
    // Few directions at a time keep the projections of large sets small.
    let bundles = directions.par_chunks(16 * dim);
    let costs = bundles.map(|bundle| {
        let mut left = projections(left, bundle);
        let mut right = projections(right, bundle);
        left.iter_mut().zip(&mut right).map(|(u, v)| transport_cost(u, v, order)).sum::<f64>()
    });
    // Summed in order, so that the result does not depend on threads.
    let mean = costs.collect::<Vec<_>>().iter().sum::<f64>() / (directions.len() / dim) as f64;
    Ok(match order {
        Order::First => mean,
        Order::Second => mean.sqrt(),
    })
}

/// Projects the rows on each direction: `[P, N]`.
fn projections(features: &Features, directions: &[f64]) -> Vec<Vec<f64>> {
    const TILE: usize = 1024;
    let (dim, count) = (features.dim(), directions.len() / features.dim());
    let mut lines = vec![Vec::with_capacity(features.len()); count];
    let mut products = Vec::new();
    for start in (0..features.len()).step_by(TILE) {
        let rows = widened(features, start..(start + TILE).min(features.len()));
        let columns = rows.len() / dim;
        products.resize(count * columns, 0.0);
        inner_products(dim, directions, &rows, &mut products);
        let parts = products.chunks_exact(columns);
        lines.iter_mut().zip(parts).for_each(|(line, part)| line.extend_from_slice(part));
    }
    lines
}

/// Computes W_p^p on the line: ∫₀¹ |F⁻¹(q) − G⁻¹(q)|^p dq over the quantile functions, which have
/// steps of 1/n and 1/m. Sorts both sides.
fn transport_cost(left: &mut [f64], right: &mut [f64], order: Order) -> f64 {
    left.sort_unstable_by(f64::total_cmp);
    right.sort_unstable_by(f64::total_cmp);
    let (n, m) = (left.len() as u64, right.len() as u64);
    // In units of 1/(n m) every step ends at an integer.
    let (mut i, mut j, mut done, mut cost) = (0, 0, 0, 0.0);
    while i < n && j < m {
        let end = ((i + 1) * m).min((j + 1) * n);
        let distance = (left[i as usize] - right[j as usize]).abs();
        let price = match order {
            Order::First => distance,
            Order::Second => distance * distance,
        };
        cost += price * (end - done) as f64;
        i += u64::from(end == (i + 1) * m);
        j += u64::from(end == (j + 1) * n);
        done = end;
    }
    cost / (n * m) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_line_unequal_counts_share_their_mass() {
        let cost = |order| transport_cost(&mut [1.0, 0.0], &mut [0.0, 2.0, 1.0], order);
        // Quantiles 0 0 0 1 1 1 and 0 0 1 1 2 2, in sixths.
        assert!((cost(Order::First) - 3.0 / 6.0).abs() < 1e-15);
        assert!((cost(Order::Second) - 3.0 / 6.0).abs() < 1e-15);
        let far = transport_cost(&mut [0.0], &mut [3.0, 1.0], Order::Second);
        assert_eq!(far, 5.0);
    }

    #[test]
    fn a_translation_costs_its_share_in_each_direction() {
        // In the plane the mean of cos² is 1/2 and of |cos| is 2/π.
        let left = Features::from_rows(2, vec![0.0, 0.0, 1.0, 0.5, -1.0, 2.0]).unwrap();
        let moved: Vec<f32> = left.rows().flat_map(|row| [row[0] + 3.0, row[1] + 4.0]).collect();
        let right = Features::from_rows(2, moved).unwrap();
        let distance = |order| {
            let options = SlicedOptions { order, projections: 20_000, seed: 0 };
            sliced_wasserstein(&left, &right, &options).unwrap()
        };
        assert!((distance(Order::Second) - 5.0 / 2.0_f64.sqrt()).abs() < 0.05);
        assert!((distance(Order::First) - 10.0 / std::f64::consts::PI).abs() < 0.05);
    }

    #[test]
    fn bad_directions_are_refused() {
        let set = Features::from_rows(2, vec![0.0; 4]).unwrap();
        let refusal = |directions: &[f64]| {
            sliced_wasserstein_along(&set, &set, directions, Order::First).unwrap_err()
        };
        assert!(matches!(refusal(&[]), Error::Option { .. }));
        assert!(matches!(refusal(&[1.0, 0.0, 1.0]), Error::Shape(_)));
        let empty = Features::new(2).unwrap();
        let fault = sliced_wasserstein(&set, &empty, &SlicedOptions::default());
        assert!(matches!(fault, Err(Error::TooFew { .. })));
    }
}
