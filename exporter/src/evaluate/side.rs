//! What is known of one of the two sets that are compared.

use ddpm_evaluation::{Features, Gaussian, Statistics, StatisticsFile};

use super::EvaluateError;

/// A set: all its rows, or only their mean and covariance.
#[derive(Debug)]
pub struct Side {
    rows: Option<Features>,
    gaussian: Option<Gaussian>,
    count: Option<u64>,
    dim: usize,
}

impl Side {
    /// A set of which every row is known.
    #[must_use]
    pub fn of_rows(rows: Features) -> Self {
        let (count, dim) = (Some(rows.len() as u64), rows.dim());
        Self { rows: Some(rows), gaussian: None, count, dim }
    }

    /// A set of which only mean and covariance are known.
    #[must_use]
    pub fn of_statistics(file: StatisticsFile) -> Self {
        let (count, dim) = (file.count, file.gaussian.dim());
        Self { rows: None, gaussian: Some(file.gaussian), count, dim }
    }

    /// D, features a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// N; `None` if a statistics file does not say.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// The rows, if they are known.
    #[must_use]
    pub fn rows(&self) -> Option<&Features> {
        self.rows.as_ref()
    }

    /// Mean and covariance.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Measure`] if there are fewer than 2 rows, or too many features.
    pub fn gaussian(&self) -> Result<Gaussian, EvaluateError> {
        match (&self.gaussian, &self.rows) {
            (Some(gaussian), _) => Ok(gaussian.clone()),
            (None, Some(rows)) => Ok(Statistics::of(rows)?.gaussian()?),
            (None, None) => unreachable!("a side has rows or statistics"),
        }
    }

    /// The same set, with mean and covariance computed once and for all.
    ///
    /// # Errors
    ///
    /// As [`Side::gaussian`].
    pub fn fitted(self) -> Result<Self, EvaluateError> {
        let gaussian = self.gaussian()?;
        Ok(self.with_gaussian(gaussian))
    }

    /// The same set, with mean and covariance that were computed before.
    #[must_use]
    pub(super) fn with_gaussian(self, gaussian: Gaussian) -> Self {
        Self { gaussian: Some(gaussian), ..self }
    }
}
