//! Rows of features: an extractor's output for each picture, or the points themselves.

use crate::Error;

/// A set of features, `[N, D]` f32, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dim: usize,
    values: Vec<f32>,
}

impl Features {
    /// Creates an empty set of rows of `dim` features.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `dim` is 0.
    pub fn new(dim: usize) -> Result<Self, Error> {
        if dim == 0 {
            return Err(Error::Shape("a row needs at least one feature".into()));
        }
        Ok(Self { dim, values: Vec::new() })
    }

    /// Creates a set of the rows of `values`, `[N, dim]` in C order.
    ///
    /// # Errors
    ///
    /// As [`Features::new`] and [`Features::push`].
    pub fn from_rows(dim: usize, values: Vec<f32>) -> Result<Self, Error> {
        let empty = Self::new(dim)?;
        check_batch(dim, 0, &values)?;
        Ok(Self { values, ..empty })
    }

    /// Appends a batch, `[n, dim]` in C order. A refused batch leaves the set unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the batch is not a whole number of rows;
    /// [`Error::NotFinite`] names the first NaN or infinity.
    pub fn push(&mut self, batch: &[f32]) -> Result<(), Error> {
        check_batch(self.dim, self.len(), batch)?;
        self.values.extend_from_slice(batch);
        Ok(())
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Returns D, the number of features per row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns N, the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns all values in C order.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns row `index`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Features::len`].
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..][..self.dim]
    }

    /// Iterates over the rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }
}

/// Refuses a batch that is not whole rows of finite numbers. `before` rows precede it.
pub(crate) fn check_batch(dim: usize, before: usize, batch: &[f32]) -> Result<(), Error> {
    if !batch.len().is_multiple_of(dim) {
        let message = format!("{} values are not a whole number of rows of {dim}", batch.len());
        return Err(Error::Shape(message));
    }
    match batch.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            Err(Error::NotFinite { row: before + at / dim, column: at % dim, value: batch[at] })
        }
        None => Ok(()),
    }
}

/// Refuses two sets that cannot be compared by `measure`: they differ in width, or one has fewer
/// than `least` rows.
pub(crate) fn check_pair(
    measure: &'static str,
    least: usize,
    left: &Features,
    right: &Features,
) -> Result<(), Error> {
    if left.dim() != right.dim() {
        return Err(Error::Dimension { left: left.dim(), right: right.dim() });
    }
    let got = left.len().min(right.len());
    if got < least {
        return Err(Error::TooFew { measure, least, got });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_batch_is_named_by_its_row_and_leaves_the_set_unchanged() {
        let mut features = Features::from_rows(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let fault = features.push(&[5.0, 6.0, 7.0, f32::NAN]).unwrap_err();
        assert!(matches!(fault, Error::NotFinite { row: 3, column: 1, .. }), "{fault}");
        assert!(matches!(features.push(&[5.0]), Err(Error::Shape(_))));
        assert_eq!(features.len(), 2);
        features.push(&[5.0, 6.0]).unwrap();
        assert_eq!(features.row(2), [5.0, 6.0]);
    }

    #[test]
    fn a_row_without_features_is_refused() {
        assert!(matches!(Features::from_rows(0, vec![]), Err(Error::Shape(_))));
    }
}
