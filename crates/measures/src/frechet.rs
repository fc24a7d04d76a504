//! The Fréchet distance between Gaussians, in a form that cannot become complex.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Side};

use crate::{Error, Gaussian};

/// Eigenvalues further below 0 than this, relative to the largest, are not rounding errors.
const INDEFINITE: f64 = 1e-3;

/// Computes |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂): at least 0, finite, and symmetric up to
/// rounding.
///
/// tr √(Σ₁Σ₂) = Σ √λ(Σ₁^½ Σ₂ Σ₁^½). These roots are computed as the singular values of Σ₁^½ Σ₂^½,
/// because squaring would lose half of the digits, as `sqrtm` of the product does for covariances
/// without full rank (fewer rows than features). Directions whose variance is only rounding are
/// left out.
///
/// # Errors
///
/// [`Error::Dimension`] if the sides have different numbers of features; [`Error::Statistics`] if a
/// covariance has a negative eigenvalue beyond rounding, or the numbers are too large for f64.
///
/// # Source
///
/// Dowson and Landau 1982, eq. 4, <https://doi.org/10.1016/0047-259X(82)90077-X>;
/// Heusel et al. 2017, eq. 6, <https://arxiv.org/abs/1706.08500>.
pub fn frechet_distance(left: &Gaussian, right: &Gaussian) -> Result<f64, Error> {
    if left.dim() != right.dim() {
        return Err(Error::Dimension { left: left.dim(), right: right.dim() });
    }
    let means: f64 = left.mean().iter().zip(right.mean()).map(|(a, b)| (a - b).powi(2)).sum();
    let roots = trace_of_root(left, right)?;
    let distance = means + (trace(left) + trace(right) - 2.0 * roots);
    if !distance.is_finite() {
        return Err(Error::Statistics("means or covariances are too large for f64".into()));
    }
    Ok(distance.max(0.0))
}

fn trace(gaussian: &Gaussian) -> f64 {
    gaussian.covariance().iter().step_by(gaussian.dim() + 1).sum()
}

/// Computes tr √(Σ₁Σ₂).
fn trace_of_root(left: &Gaussian, right: &Gaussian) -> Result<f64, Error> {
    let (left, right) = (Factor::new(left)?, Factor::new(right)?);
    let (rows, columns) = (left.root.ncols(), right.root.ncols());
    if rows == 0 || columns == 0 {
        return Ok(0.0);
    }
    let mut product = Mat::<f64>::zeros(rows, columns);
    let parallelism = faer::get_global_parallelism();
    let transposed = left.root.transpose();
    matmul(&mut product, Accum::Replace, transposed, &right.root, 1.0, parallelism);
    let singular = product.singular_values().map_err(|_| no_convergence())?;
    Ok(singular.iter().sum::<f64>() * left.scale * right.scale)
}

/// A covariance as scale² · root · rootᵀ, with one column per direction that has variance.
struct Factor {
    root: Mat<f64>,
    scale: f64,
}

impl Factor {
    /// Factorises the covariance of `gaussian`.
    fn new(gaussian: &Gaussian) -> Result<Self, Error> {
        let dim = gaussian.dim();
        // Scaled to a largest element of 1, so that nothing overflows or vanishes.
        let largest = gaussian.covariance().iter().fold(0.0, |most: f64, x| x.abs().max(most));
        if largest == 0.0 {
            return Ok(Self { root: Mat::zeros(dim, 0), scale: 0.0 });
        }
        let covariance = MatRef::from_row_major_slice(gaussian.covariance(), dim, dim);
        let scaled = Mat::from_fn(dim, dim, |row, column| covariance[(row, column)] / largest);
        let eigen = scaled.self_adjoint_eigen(Side::Lower).map_err(|_| no_convergence())?;
        // In ascending order.
        let variances: Vec<f64> = (0..dim).map(|i| eigen.S()[i]).collect();
        let (least, most) = (variances[0], variances[dim - 1]);
        if least < -INDEFINITE * most.abs() {
            let least = least * largest;
            return Err(Error::Statistics(format!("the covariance has the eigenvalue {least:e}")));
        }
        // Negative eigenvalues show how far rounding moved those that should be 0; values as far
        // above 0 are no variance either.
        let floor = (-2.0 * least).max(0.0);
        let first = variances.partition_point(|&variance| variance <= floor);
        let vectors = eigen.U();
        let root = Mat::from_fn(dim, dim - first, |row, column| {
            vectors[(row, first + column)] * variances[first + column].sqrt()
        });
        Ok(Self { root, scale: largest.sqrt() })
    }
}

fn no_convergence() -> Error {
    Error::Statistics("the eigenvalues of a covariance did not converge".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(mean: &[f64], variances: &[f64]) -> Gaussian {
        let dim = mean.len();
        let at = |i: usize| if i / dim == i % dim { variances[i / dim] } else { 0.0 };
        Gaussian::new(mean.to_vec(), (0..dim * dim).map(at).collect()).unwrap()
    }

    #[test]
    fn the_distance_of_diagonal_gaussians_is_the_sum_over_coordinates() {
        let left = diagonal(&[0.0, 1.0, 2.0], &[1.0, 4.0, 0.0]);
        let right = diagonal(&[0.5, 1.0, 0.0], &[9.0, 4.0, 0.25]);
        // Σ (Δμ)² + (σ₁ − σ₂)².
        let want = 0.25 + 4.0 + 4.0 + 0.25;
        assert!((frechet_distance(&left, &right).unwrap() - want).abs() < 1e-13);
    }

    #[test]
    fn without_variance_only_means_and_the_other_trace_count() {
        let point = diagonal(&[1.0, 0.0], &[0.0, 0.0]);
        assert_eq!(frechet_distance(&point, &diagonal(&[0.0, 0.0], &[2.0, 3.0])).unwrap(), 6.0);
        assert_eq!(frechet_distance(&point, &point).unwrap(), 0.0);
    }

    #[test]
    fn the_scale_of_the_numbers_does_not_matter() {
        for scale in [1e-150, 1e150] {
            let left = diagonal(&[0.0, 0.0], &[scale, 4.0 * scale]);
            let right = diagonal(&[0.0, 0.0], &[9.0 * scale, scale]);
            let got = frechet_distance(&left, &right).unwrap() / scale;
            assert!((got - 5.0).abs() < 1e-13, "{got}");
        }
    }

    #[test]
    fn invalid_pairs_are_errors() {
        let unit = diagonal(&[0.0, 0.0], &[1.0, 1.0]);
        let narrow = diagonal(&[0.0], &[1.0]);
        assert!(matches!(frechet_distance(&unit, &narrow), Err(Error::Dimension { .. })));
        let indefinite = Gaussian::new(vec![0.0; 2], vec![1.0, 2.0, 2.0, 1.0]).unwrap();
        let fault = frechet_distance(&unit, &indefinite).unwrap_err().to_string();
        assert!(fault.contains("eigenvalue -1e0") || fault.contains("eigenvalue -9.99"), "{fault}");
        let far = diagonal(&[1e200, 0.0], &[1.0, 1.0]);
        assert!(matches!(frechet_distance(&unit, &far), Err(Error::Statistics(_))));
    }
}
