//! One of the two sets compared.

use ddpm_measures::{Features, Gaussian, Statistics, StatisticsFile};

use super::EvaluateError;

/// A set of feature vectors: all its rows, or only their mean and covariance.
#[derive(Debug)]
pub struct FeatureSet {
    rows: Option<Features>,
    gaussian: Option<Gaussian>,
    count: Option<u64>,
    dim: usize,
}

impl FeatureSet {
    /// Makes a set of all its rows.
    #[must_use]
    pub fn from_rows(rows: Features) -> Self {
        let (count, dim) = (Some(rows.len() as u64), rows.dim());
        Self { rows: Some(rows), gaussian: None, count, dim }
    }

    /// Makes a set known only by its mean and covariance.
    #[must_use]
    pub fn from_statistics(file: StatisticsFile) -> Self {
        let (count, dim) = (file.count, file.gaussian.dim());
        Self { rows: None, gaussian: Some(file.gaussian), count, dim }
    }

    /// Returns D, the features per row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns N; `None` if a statistics file does not record it.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// Returns the rows, if they are known.
    #[must_use]
    pub fn rows(&self) -> Option<&Features> {
        self.rows.as_ref()
    }

    /// Returns mean and covariance, and computes them if necessary.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Measure`] if there are fewer than 2 rows, or too many features.
    pub fn gaussian(&self) -> Result<Gaussian, EvaluateError> {
        match (&self.gaussian, &self.rows) {
            (Some(gaussian), _) => Ok(gaussian.clone()),
            (None, Some(rows)) => Ok(Statistics::of(rows)?.gaussian()?),
            (None, None) => unreachable!("a set has rows or statistics"),
        }
    }

    /// Computes mean and covariance now, so that each use has them.
    ///
    /// # Errors
    ///
    /// As [`FeatureSet::gaussian`].
    pub fn fitted(self) -> Result<Self, EvaluateError> {
        let gaussian = self.gaussian()?;
        Ok(self.with_gaussian(gaussian))
    }

    /// Adds mean and covariance that were computed before.
    #[must_use]
    pub(super) fn with_gaussian(self, gaussian: Gaussian) -> Self {
        Self { gaussian: Some(gaussian), ..self }
    }
}
