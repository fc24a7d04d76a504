//! The forward process q(x_t given x_0), and what networks are trained to predict.

use crate::{Error, Parameterisation, Point, Real};

/// Writes x_t = α x_0 + σ ε, element by element, into `x_t`.
///
/// * `x_0`, `noise`, `x_t`: of equal length.
///
/// # Panics
///
/// If the lengths differ.
///
/// # Source
///
/// Ho et al. 2020, equation 4, with α² for its ᾱ_t.
pub fn q_sample<F: Real>(point: &Point, x_0: &[F], noise: &[F], x_t: &mut [F]) {
    mix(point.alpha, x_0, point.sigma, noise, x_t);
}

/// Writes what a network should output for x_t = q_sample(x_0, ε) into `out`.
///
/// * `x_0`, `noise`, `out`: of equal length.
///
/// # Errors
///
/// [`Error::Sampler`] where the network predicts nothing: see [`Parameterisation::at`].
///
/// # Panics
///
/// If the lengths differ.
pub fn target<F: Real>(
    network: &Parameterisation,
    point: &Point,
    x_0: &[F],
    noise: &[F],
    out: &mut [F],
) -> Result<(), Error> {
    let (of_x_0, of_noise) = network.target(point)?;
    mix(of_x_0, x_0, of_noise, noise, out);
    Ok(())
}

fn mix<F: Real>(a: f64, x: &[F], b: f64, y: &[F], out: &mut [F]) {
    assert!(x.len() == out.len() && y.len() == out.len(), "operands of different lengths");
    let (a, b) = (F::from_f64(a), F::from_f64(b));
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = a * *x + b * *y;
    }
}
