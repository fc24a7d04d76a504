//! A mean and a covariance: all that the Fréchet distance uses of a set.

use crate::Error;

/// Largest number of features per row with a covariance: 2 GiB of f64.
pub const MAX_DIM: usize = 16_384;

/// Largest asymmetry, and depth below 0 on the diagonal, attributed to rounding, relative to the
/// largest element. Files hold f32.
const ROUNDING: f64 = 1e-6;

/// A mean `[D]` and a covariance `[D, D]`, exactly symmetric.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

impl Gaussian {
    /// Checks a mean and a covariance from elsewhere, the latter in C order. Averages asymmetry due
    /// to rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Statistics`] unless there are D and D² finite numbers with D in 1..=[`MAX_DIM`],
    /// and the covariance is symmetric with a nonnegative diagonal.
    pub fn new(mean: Vec<f64>, mut covariance: Vec<f64>) -> Result<Self, Error> {
        let dim = mean.len();
        let fault = |text: String| Err(Error::Statistics(text));
        if dim == 0 || dim > MAX_DIM {
            return fault(format!("the mean has {dim} elements, must have 1 to {MAX_DIM}"));
        }
        if covariance.len() != dim * dim {
            let got = covariance.len();
            return fault(format!("{dim} means need {dim} x {dim} covariances, got {got} numbers"));
        }
        if let Some(at) = mean.iter().position(|value| !value.is_finite()) {
            return fault(format!("mean {at} is {}", mean[at]));
        }
        if let Some(at) = covariance.iter().position(|value| !value.is_finite()) {
            return fault(format!("covariance ({}, {}) is {}", at / dim, at % dim, covariance[at]));
        }
        let tolerance = ROUNDING * covariance.iter().fold(0.0, |most, x| x.abs().max(most));
        for row in 0..dim {
            let variance = covariance[row * dim + row];
            if variance < -tolerance {
                return fault(format!("the variance of feature {row} is {variance}"));
            }
            for column in 0..row {
                let (here, there) = (row * dim + column, column * dim + row);
                let (lower, upper) = (covariance[here], covariance[there]);
                if (lower - upper).abs() > tolerance {
                    return fault(format!(
                        "the covariance is not symmetric: ({row}, {column}) is {lower}, \
                         ({column}, {row}) is {upper}"
                    ));
                }
                let middle = lower + (upper - lower) / 2.0;
                (covariance[here], covariance[there]) = (middle, middle);
            }
        }
        Ok(Self { mean, covariance })
    }

    /// Returns D, the number of features per row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Returns the mean, `[D]`.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns the covariance, `[D, D]`.
    #[must_use]
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(mean: &[f64], covariance: &[f64]) -> String {
        Gaussian::new(mean.to_vec(), covariance.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn an_invalid_covariance_is_refused_with_the_place() {
        assert!(refusal(&[], &[]).contains("0 elements"));
        assert!(refusal(&[0.0; 2], &[1.0; 3]).contains("got 3 numbers"));
        assert!(refusal(&[0.0, f64::NAN], &[1.0; 4]).contains("mean 1 is NaN"));
        assert!(refusal(&[0.0; 2], &[1.0, 0.0, f64::INFINITY, 1.0]).contains("(1, 0) is inf"));
        assert!(refusal(&[0.0; 2], &[1.0, 0.5, 0.4, 1.0]).contains("not symmetric"));
        assert!(refusal(&[0.0; 2], &[1.0, 0.0, 0.0, -0.1]).contains("variance of feature 1"));
    }

    #[test]
    fn asymmetry_due_to_rounding_is_averaged() {
        let gaussian = Gaussian::new(vec![0.0; 2], vec![1.0, 0.5, 0.5 + 1e-8, 1.0]).unwrap();
        assert_eq!(gaussian.covariance()[1], gaussian.covariance()[2]);
        assert!((gaussian.covariance()[1] - (0.5 + 5e-9)).abs() < 1e-15);
    }
}
