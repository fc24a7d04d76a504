//! Distances between all rows of two sets, computed by tiles, so that memory stays bounded for any
//! number of rows.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::matrix::{inner_products, widened};
use crate::{Error, Features};

/// Arithmetic of the distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// binary64: relative error of a distance below 1e-9.
    #[default]
    F64,
    /// Like the code of ddpm-torch and StyleGAN: features, norms, squared distances and distances
    /// are each rounded to binary16. For comparison with published numbers; it changes precision by
    /// up to one percent.
    F16,
}

/// Numbers of rows and columns of a tile.
pub(crate) const TILE: (usize, usize) = (256, 1024);

/// If |x|² + |y|² − 2 x·y is this small relative to |x|² + |y|², it has lost too many digits, and
/// the squared differences are summed instead.
const CANCELLED: f64 = 1e-6;

/// A set with the squared norms of its rows.
#[derive(Debug)]
pub(crate) struct Normed<'a> {
    pub(crate) features: &'a Features,
    pub(crate) arithmetic: Arithmetic,
    norms: Vec<f64>,
}

impl<'a> Normed<'a> {
    /// Computes the squared norms.
    ///
    /// # Errors
    ///
    /// [`Error::Binary16`] if the arithmetic is binary16 and a squared norm does not fit.
    pub(crate) fn new(features: &'a Features, arithmetic: Arithmetic) -> Result<Self, Error> {
        let norms: Vec<f64> = match arithmetic {
            Arithmetic::F64 => features.rows().map(|row| sum(row, |x| x * x)).collect(),
            Arithmetic::F16 => features
                .rows()
                .map(|row| rounded(sum(row, |x| rounded(rounded(x).powi(2)))))
                .collect(),
        };
        if let Some(row) = norms.iter().position(|norm| norm.is_infinite()) {
            let value = sum(features.row(row), |x| x * x);
            return Err(Error::Binary16 { row, what: "its squared norm", value });
        }
        Ok(Self { features, arithmetic, norms })
    }

    /// Writes the measures between `rows` of this set and `columns` of `other` into `out`, `[n, m]`
    /// in C order: squared distances in binary64, distances in binary16. Both have the same
    /// neighbours, because one grows with the other.
    ///
    /// * `rows_wide`: [`Normed::wide`] of `rows`.
    pub(crate) fn measures(
        &self,
        rows: Range<usize>,
        rows_wide: &Wide,
        other: &Self,
        columns: Range<usize>,
        out: &mut Vec<f64>,
    ) {
        let dim = self.features.dim();
        let (row_norms, column_norms) = (&self.norms[rows], &other.norms[columns.clone()]);
        match (rows_wide, other.wide(columns)) {
            (Wide::F64(left), Wide::F64(right)) => {
                out.resize(row_norms.len() * column_norms.len(), 0.0);
                inner_products(dim, left, &right, out);
                squared_distances(dim, (left, row_norms), (&right, column_norms), out);
            }
            (Wide::F16(left), Wide::F16(right)) => {
                let mut products = vec![0.0; row_norms.len() * column_norms.len()];
                inner_products(dim, left, &right, &mut products);
                binary16_distances(row_norms, column_norms, &mut products);
                out.clear();
                out.extend(products.into_iter().map(f64::from));
            }
            _ => unreachable!("both sets of a comparison have one arithmetic"),
        }
    }

    /// Converts rows to the type in which their products are summed.
    pub(crate) fn wide(&self, rows: Range<usize>) -> Wide {
        match self.arithmetic {
            Arithmetic::F64 => Wide::F64(widened(self.features, rows)),
            Arithmetic::F16 => {
                let dim = self.features.dim();
                let mut values = self.features.values()[rows.start * dim..rows.end * dim].to_vec();
                round_all(&mut values, &mut Vec::new());
                Wide::F16(values)
            }
        }
    }
}

/// Rows ready for a matrix product.
pub(crate) enum Wide {
    F64(Vec<f64>),
    /// Binary16 numbers: their products are exact in f32, and summed in f32.
    F16(Vec<f32>),
}

/// Turns products into squared distances, in place.
fn squared_distances(
    dim: usize,
    (rows, row_norms): (&[f64], &[f64]),
    (columns, column_norms): (&[f64], &[f64]),
    products: &mut [f64],
) {
    let lines = products.chunks_exact_mut(column_norms.len());
    for ((line, row), &row_norm) in lines.zip(rows.chunks_exact(dim)).zip(row_norms) {
        for (at, (product, &column_norm)) in line.iter_mut().zip(column_norms).enumerate() {
            let norms = row_norm + column_norm;
            let square = norms - 2.0 * *product;
            *product = if square < CANCELLED * norms {
                let column = &columns[at * dim..][..dim];
                row.iter().zip(column).map(|(x, y)| (x - y).powi(2)).sum()
            } else {
                square
            };
        }
    }
}

/// Turns products into distances, in place, with the roundings of a distance matrix in half
/// precision.
fn binary16_distances(row_norms: &[f64], column_norms: &[f64], products: &mut [f32]) {
    let mut halves = Vec::new();
    for (line, &row_norm) in products.chunks_exact_mut(column_norms.len()).zip(row_norms) {
        for (product, &column_norm) in line.iter_mut().zip(column_norms) {
            *product = (row_norm + column_norm - 2.0 * f64::from(*product)) as f32;
        }
        round_all(line, &mut halves);
        line.iter_mut().for_each(|square| *square = square.max(0.0).sqrt());
        round_all(line, &mut halves);
    }
}

/// Rounds to binary16, in place.
fn round_all(values: &mut [f32], halves: &mut Vec<f16>) {
    halves.resize(values.len(), f16::ZERO);
    halves.convert_from_f32_slice(values);
    halves.convert_to_f32_slice(values);
}

fn rounded(value: f64) -> f64 {
    f16::from_f64(value).to_f64()
}

fn sum(row: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    row.iter().map(|&x| term(f64::from(x))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_measures(set: &Features, arithmetic: Arithmetic) -> Vec<f64> {
        let normed = Normed::new(set, arithmetic).unwrap();
        let mut out = Vec::new();
        let rows = 0..set.len();
        normed.measures(rows.clone(), &normed.wide(rows.clone()), &normed, rows, &mut out);
        out
    }

    #[test]
    fn squared_distances_keep_their_digits_far_from_0() {
        let values = (0..60u32).map(|i| 4096.0 + (i * 29 % 31) as f32 / 1024.0).collect();
        let set = Features::from_rows(6, values).unwrap();
        let got = all_measures(&set, Arithmetic::F64);
        for (at, got) in got.iter().enumerate() {
            let (x, y) = (set.row(at / 10), set.row(at % 10));
            let want: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
            assert!((got - want).abs() <= 1e-9 * want, "{got} for {want}");
        }
    }

    #[test]
    fn binary16_rounds_at_every_stage() {
        // 1 and 1 + 2⁻¹⁰ are neighbours in binary16: their squares 1 and 1.001953 too, and 1 +
        // 1.002 − 2 · 1.000977 becomes 0 after the norms were rounded.
        let set = Features::from_rows(1, vec![1.0, 1.000_976_6, 3.0]).unwrap();
        assert_eq!(all_measures(&set, Arithmetic::F16)[..3], [0.0, 0.0, 2.0]);
        assert!(all_measures(&set, Arithmetic::F64)[1] > 9e-7);
    }

    #[test]
    fn a_norm_beyond_binary16_is_refused_only_in_binary16() {
        let set = Features::from_rows(2, vec![1.0, 1.0, 200.0, 200.0]).unwrap();
        let fault = Normed::new(&set, Arithmetic::F16).unwrap_err();
        assert!(matches!(fault, Error::Binary16 { row: 1, .. }), "{fault}");
        assert!(Normed::new(&set, Arithmetic::F64).is_ok());
    }
}
