//! The forward process q(x_t given x_0), and what networks are trained to predict.

use crate::{Error, Prediction, Real, Schedule};

/// x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, element by element into `x_t`.
///
/// * `x_0`, `noise`, `x_t`: of equal length.
/// * `t`: below T.
///
/// # Panics
///
/// If t is not below T or the lengths differ.
///
/// # Source
///
/// Ho et al. 2020, equation 4.
pub fn q_sample<F: Real>(schedule: &Schedule, t: usize, x_0: &[F], noise: &[F], x_t: &mut [F]) {
    let alpha_bar = schedule.alphas_cumprod()[t];
    mix(alpha_bar.sqrt(), x_0, (1.0 - alpha_bar).sqrt(), noise, x_t);
}

/// What a network should output for x_t = q_sample(x_0, ε), into `out`.
///
/// * `x_0`, `noise`, `out`: of equal length.
/// * `t`: below T.
///
/// # Panics
///
/// If t is not below T or the lengths differ.
pub fn target<F: Real>(
    schedule: &Schedule,
    prediction: Prediction,
    t: usize,
    x_0: &[F],
    noise: &[F],
    out: &mut [F],
) {
    let alpha_bar = schedule.alphas_cumprod()[t];
    let (signal, spread) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
    let (of_x_0, of_noise) = match prediction {
        Prediction::Eps => (0.0, 1.0),
        Prediction::X0 => (1.0, 0.0),
        Prediction::V => (-spread, signal),
        Prediction::Mean => {
            let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
            (of_x_0 + of_x_t * signal, of_x_t * spread)
        }
    };
    mix(of_x_0, x_0, of_noise, noise, out);
}

/// The x_0 that an output stands for, not clipped, into `x_0`.
///
/// * `x_t`, `output`, `x_0`: of equal length.
///
/// # Errors
///
/// [`Error::Sampler`] for eps at ᾱ = 0.
///
/// # Panics
///
/// If t is not below T or the lengths differ.
pub fn x_0_from<F: Real>(
    schedule: &Schedule,
    prediction: Prediction,
    t: usize,
    x_t: &[F],
    output: &[F],
    x_0: &mut [F],
) -> Result<(), Error> {
    let (p_u, p_f) = prediction.x_0_coefficients(schedule, t)?;
    mix(p_u, x_t, p_f, output, x_0);
    Ok(())
}

fn mix<F: Real>(a: f64, x: &[F], b: f64, y: &[F], out: &mut [F]) {
    assert!(x.len() == out.len() && y.len() == out.len(), "operands of different lengths");
    let (a, b) = (F::from_f64(a), F::from_f64(b));
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = a * *x + b * *y;
    }
}
