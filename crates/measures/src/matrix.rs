//! Matrix products of slices, and rows of f32 widened to f64.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::traits::RealField;
use faer::traits::math_utils::one;
use faer::{Accum, MatMut, MatRef, Par};

use crate::Features;

/// Returns `rows` of a set, `[n, D]` in C order, in f64.
pub(crate) fn widened(features: &Features, rows: Range<usize>) -> Vec<f64> {
    let values = &features.values()[rows.start * features.dim()..rows.end * features.dim()];
    values.iter().copied().map(f64::from).collect()
}

/// Computes out = left · rightᵀ on the calling thread: `[n, D]`, `[m, D]` → `[n, m]`, all in C
/// order.
pub(crate) fn inner_products<T: RealField>(dim: usize, left: &[T], right: &[T], out: &mut [T]) {
    let (n, m) = (left.len() / dim, right.len() / dim);
    // In faer's column order a C-order [n, m] is its transpose.
    let left = MatRef::from_column_major_slice(left, dim, n);
    let right = MatRef::from_column_major_slice(right, dim, m);
    let out = MatMut::from_column_major_slice_mut(out, m, n);
    matmul(out, Accum::Replace, right.transpose(), left, one(), Par::Seq);
}
