//! A set as a union of balls: each row with the distance to its k-th neighbour.

use std::ops::Range;

use rayon::prelude::*;

use crate::distances::{Arithmetic, Normed, TILE};
use crate::{Error, Features};

/// A set of features with, for each row, the distances to its nearest neighbours.
#[derive(Debug)]
pub struct Manifold<'a> {
    pub(crate) set: Normed<'a>,
    neighbours: usize,
    /// The `neighbours + 1` smallest measures of each row, ascending, including the row itself.
    nearest: Vec<f64>,
}

impl<'a> Manifold<'a> {
    /// Finds the `neighbours` nearest rows of every row: N² D multiplications, in bounded memory,
    /// on all cores.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for 0 neighbours; [`Error::TooFew`] unless the set has more rows than
    /// `neighbours`; [`Error::Binary16`] if the numbers do not fit binary16.
    pub fn new(
        features: &'a Features,
        neighbours: usize,
        arithmetic: Arithmetic,
    ) -> Result<Self, Error> {
        if neighbours == 0 {
            let reason = "must be at least 1, got 0".into();
            return Err(Error::Option { option: "neighbours", reason });
        }
        if features.len() <= neighbours {
            let (least, got) = (neighbours.saturating_add(1), features.len());
            return Err(Error::TooFew { measure: "a neighbourhood", least, got });
        }
        let set = Normed::new(features, arithmetic)?;
        let kept = neighbours + 1;
        let tiles = (0..features.len().div_ceil(TILE.0)).into_par_iter().map(|tile| {
            let rows = tile_at(tile, TILE.0, features.len());
            let mut nearest = vec![f64::INFINITY; rows.len() * kept];
            for_each_tile(&set, rows, &set, |measures, columns| {
                let lines = measures.chunks_exact(columns.len());
                for (line, nearest) in lines.zip(nearest.chunks_exact_mut(kept)) {
                    line.iter().for_each(|&measure| keep_smallest(nearest, measure));
                }
            });
            nearest
        });
        let nearest = tiles.collect::<Vec<_>>().concat();
        if let Some(at) = nearest.iter().position(|measure| measure.is_infinite()) {
            let what = "the squared distance to a neighbour";
            return Err(Error::Binary16 { row: at / kept, what, value: f64::INFINITY });
        }
        Ok(Self { set, neighbours, nearest })
    }

    /// Returns the number of known neighbours per row.
    #[must_use]
    pub fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// Returns the distances of all rows to their k-th neighbour, `[N]`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] unless `k` is in 1..=[`Manifold::neighbours`].
    pub fn radii(&self, k: usize) -> Result<Vec<f64>, Error> {
        let mut radii = self.measures(k)?;
        if self.set.arithmetic == Arithmetic::F64 {
            radii.iter_mut().for_each(|radius| *radius = radius.sqrt());
        }
        Ok(radii)
    }

    /// Returns the measures, as of [`Normed::measures`], of all rows to their k-th neighbour.
    pub(crate) fn measures(&self, k: usize) -> Result<Vec<f64>, Error> {
        if k == 0 || k > self.neighbours {
            let reason = format!("must be from 1 to the {} known ones, got {k}", self.neighbours);
            return Err(Error::Option { option: "neighbours", reason });
        }
        // The row itself is at 0.
        Ok(self.nearest.iter().copied().skip(k).step_by(self.neighbours + 1).collect())
    }
}

/// Returns range number `tile` of those of `size` that cover 0..count.
pub(crate) fn tile_at(tile: usize, size: usize, count: usize) -> Range<usize> {
    tile * size..((tile + 1) * size).min(count)
}

/// Calls `visit` for each tile of columns with its measures, `[rows, columns]`, and its columns.
pub(crate) fn for_each_tile(
    set: &Normed,
    rows: Range<usize>,
    other: &Normed,
    mut visit: impl FnMut(&[f64], Range<usize>),
) {
    let wide = set.wide(rows.clone());
    let mut measures = Vec::new();
    for tile in 0..other.features.len().div_ceil(TILE.1) {
        let columns = tile_at(tile, TILE.1, other.features.len());
        set.measures(rows.clone(), &wide, other, columns.clone(), &mut measures);
        visit(&measures, columns);
    }
}

/// Inserts `measure` into `nearest`, ascending, if it is among the smallest.
fn keep_smallest(nearest: &mut [f64], measure: f64) {
    let last = nearest.len() - 1;
    if measure < nearest[last] {
        let at = nearest.partition_point(|&smaller| smaller <= measure);
        nearest[at..].rotate_right(1);
        nearest[at] = measure;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_are_distances_to_the_kth_other_row() {
        let set = Features::from_rows(1, vec![0.0, 1.0, 3.0, 7.0]).unwrap();
        for arithmetic in [Arithmetic::F64, Arithmetic::F16] {
            let manifold = Manifold::new(&set, 2, arithmetic).unwrap();
            assert_eq!(manifold.radii(1).unwrap(), [1.0, 1.0, 2.0, 4.0]);
            assert_eq!(manifold.radii(2).unwrap(), [3.0, 2.0, 3.0, 6.0]);
        }
    }

    #[test]
    fn tiles_leave_out_no_row() {
        // More rows than a tile; on a line of pitch 1 all inner radii are 1.
        let set = Features::from_rows(1, (0..2500u16).map(f32::from).collect()).unwrap();
        let radii = Manifold::new(&set, 2, Arithmetic::F64).unwrap().radii(2).unwrap();
        assert_eq!(radii.len(), 2500);
        assert!(radii[1..2499].iter().all(|&radius| radius == 1.0));
        assert_eq!((radii[0], radii[2499]), (2.0, 2.0));
    }

    #[test]
    fn too_few_rows_and_no_neighbours_are_refused() {
        let set = Features::from_rows(1, vec![0.0, 1.0, 3.0]).unwrap();
        let refusal = |k| Manifold::new(&set, k, Arithmetic::F64).unwrap_err();
        assert!(matches!(refusal(3), Error::TooFew { least: 4, got: 3, .. }));
        assert!(matches!(refusal(0), Error::Option { .. }));
        let manifold = Manifold::new(&set, 1, Arithmetic::F64).unwrap();
        assert!(matches!(manifold.radii(2), Err(Error::Option { .. })));
    }
}
