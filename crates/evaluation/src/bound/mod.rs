//! Bits of data under the model: the variational bound, term by term.
//!
//! Data x_0 is sent as x_T, then x_{T−1} given x_T, and so on. The prior term L_T is the cost of
//! x_T, the term of timestep t that of x_{t−1}, and the term of t = 0 that of x_0 itself: the bin
//! of each pixel, or the density of a point. Once x_t has arrived, the distortion is the error of
//! the model's guess of x_0.

use std::f64::consts::LN_2;

use ddpm_diffusion::{BoundTerm, Noise, Parameterisation, Prediction, Process, Variance};
use ddpm_network::likelihood::{discretised_nll, gaussian_kl, gaussian_nll};
use ddpm_package::Kind;
use serde::Serialize;
use tch::{Kind as Element, TchError, Tensor};

use super::EvaluateError;

/// The data whose bits are counted.
#[derive(Debug, Clone, Copy)]
pub struct BoundItems<'a> {
    /// `[N, …shape]` at model scale.
    pub x_0: &'a [f32],
    /// `[…shape]`.
    pub shape: &'a [i64],
    /// `[N]`, for a conditional network.
    pub labels: Option<&'a [i64]>,
    /// Pictures have 256 levels, and their predictions are clipped; points have a density.
    pub kind: Kind,
    /// Seed of the noise; item i at t has draw t + 1.
    pub seed: u64,
    /// Items that go through the network together.
    pub batch: usize,
}

/// The bound on −log₂ p(x_0), in bits per dimension, averaged over the items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// N.
    pub items: usize,
    /// Prior and all terms. Of points it may be below 0.
    pub total: f64,
    /// Standard error of the total; absent for one item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// L_T.
    pub prior: f64,
    /// `[T]`: the cost at each timestep; at t = 0 that of x_0 itself.
    pub terms: Vec<f64>,
    /// `[T]`: mean squared error of the prediction of x_0 at each timestep, at model scale.
    pub mse: Vec<f64>,
    /// From x_T to x_0.
    pub curve: Vec<RatePoint>,
}

/// The cost until x_t has arrived, and the error of the guess of x_0 then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePoint {
    /// t; absent at the end, where x_0 has arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<usize>,
    /// Bits per dimension so far.
    pub rate: f64,
    /// Root mean squared error of x_0: in [0, 255] for pictures, at model scale for points.
    pub distortion: f64,
}

/// Counts the bits of items: T evaluations of the network per item.
///
/// * `evaluate`: x_t `[B, …shape]`, t `[B]` and labels `[B]` to outputs.
/// * `progress`: called after each call of `evaluate`.
///
/// # Errors
///
/// [`EvaluateError::Mismatch`] if the process has no timesteps; the errors of `evaluate`.
///
/// # Panics
///
/// If there are no items, or the last one is cut short.
///
/// # Source
///
/// Ho et al. 2020, equation 5 and §4.3, <https://arxiv.org/abs/2006.11239>.
pub fn bound<E>(
    parameterisation: &Parameterisation,
    items: &BoundItems<'_>,
    mut evaluate: impl FnMut(&[f32], &[f32], Option<&[i64]>) -> Result<Vec<f32>, E>,
    mut progress: impl FnMut(),
) -> Result<Bound, EvaluateError>
where
    EvaluateError: From<E>,
{
    let Process::Discrete(schedule) = &parameterisation.process else {
        let reason = "bits per dimension are of networks on timesteps, which this one is not";
        return Err(EvaluateError::Mismatch(reason.to_owned()));
    };
    let (timesteps, len) = (schedule.timesteps(), items.shape.iter().product::<i64>() as usize);
    let mut sums = Sums::new(timesteps);
    let noise = Noise::new(items.seed);
    for (chunk, x_0) in items.x_0.chunks(items.batch * len).enumerate() {
        let (first, count) = (chunk * items.batch, x_0.len() / len);
        let labels = items.labels.map(|labels| &labels[first..first + count]);
        let shape = [&[count as i64], items.shape].concat();
        let double = |values: &[f32]| {
            Tensor::f_from_slice(values)?.f_reshape(&shape[..])?.f_to_kind(Element::Double)
        };
        let x_0 = double(x_0)?;
        let mut totals = prior(parameterisation, &x_0)?;
        sums.prior += totals.f_sum(Element::Double)?.f_double_value(&[])?;
        let mut eps = vec![0.0_f32; count * len];
        for t in (0..timesteps).rev() {
            for (item, eps) in eps.chunks_exact_mut(len).enumerate() {
                noise.normal((first + item) as u64, t as u32 + 1, eps);
            }
            let alphas_cumprod = schedule.alphas_cumprod()[t];
            let x_t = &x_0 * alphas_cumprod.sqrt() + double(&eps)? * (1.0 - alphas_cumprod).sqrt();
            // The network computes in f32, so the term is computed from the rounded x_t.
            let seen = Vec::<f32>::try_from(x_t.f_to_kind(Element::Float)?.f_reshape([-1])?)?;
            let output = evaluate(&seen, &vec![t as f32; count], labels)?;
            progress();
            let width = [count as i64, -1].into_iter().chain(items.shape[1..].iter().copied());
            let output = Tensor::f_from_slice(&output)?
                .f_reshape(width.collect::<Vec<i64>>())?
                .f_to_kind(Element::Double)?;
            let (bits, mse) =
                term(parameterisation, items.kind, t, &x_0, &double(&seen)?, &output)?;
            sums.terms[t] += bits.f_sum(Element::Double)?.f_double_value(&[])?;
            sums.mse[t] += mse.f_sum(Element::Double)?.f_double_value(&[])?;
            totals = totals.f_add(&bits)?;
        }
        sums.totals.extend(Vec::<f64>::try_from(totals)?);
    }
    Ok(sums.finish(items.kind))
}

/// Returns the term of timestep t in bits per dimension, and the squared error of the prediction of
/// x_0, `[B]` each, in f64.
///
/// * `x_0`, `x_t`: `[B, …shape]` in f64.
/// * `output`: `[B, …]` in f64, with any variance channels after the prediction.
///
/// # Errors
///
/// [`EvaluateError::Mismatch`] if the process has no timestep t.
fn term(
    parameterisation: &Parameterisation,
    kind: Kind,
    t: usize,
    x_0: &Tensor,
    x_t: &Tensor,
    output: &Tensor,
) -> Result<(Tensor, Tensor), EvaluateError> {
    let unfit = |error: ddpm_diffusion::Error| EvaluateError::Mismatch(error.to_string());
    let point = parameterisation.process.at_timestep(t as f64).map_err(unfit)?;
    let BoundTerm { p_u, p_f, of_x_0, of_x_t, ln_posterior, ln_upper, first } =
        BoundTerm::at(parameterisation, &point).map_err(unfit)?;
    let channels = x_0.size()[1];
    let prediction = output.f_narrow(1, 0, channels)?;
    let unclipped = p_u * x_t + p_f * &prediction;
    let predicted = match kind {
        Kind::Image => unclipped.f_clamp(-1.0, 1.0)?,
        Kind::Points2d => unclipped.f_add_scalar(0.0)?,
    };
    // A predicted mean is used as it is, without clipping x_0.
    let mean = match parameterisation.prediction {
        Prediction::Mean => prediction,
        _ => of_x_0 * &predicted + of_x_t * x_t,
    };
    let constant = |value: f64| x_t.f_zeros_like()?.f_add_scalar(value);
    let (ln_posterior, ln_upper) = (constant(ln_posterior)?, constant(ln_upper)?);
    let ln_variance = match parameterisation.variance {
        Variance::FixedSmall | Variance::FixedLarge => ln_upper,
        Variance::Learned => output.f_narrow(1, channels, channels)?,
        Variance::LearnedRange => {
            let share = (output.f_narrow(1, channels, channels)? + 1.0) * 0.5;
            &share * &ln_upper + (1.0 - &share) * &ln_posterior
        }
    };
    let nats = match (first, kind) {
        (true, Kind::Image) => discretised_nll(x_0, &mean, &ln_variance),
        (true, Kind::Points2d) => gaussian_nll(x_0, &mean, &ln_variance),
        (false, _) => {
            let posterior = of_x_0 * x_0 + of_x_t * x_t;
            gaussian_kl(&posterior, &ln_posterior, &mean, &ln_variance)
        }
    };
    Ok((bits(&nats)?, mean_of_items(&(predicted - x_0).square())?))
}

/// Returns L_T in bits per dimension, `[B]`: the cost of x_T over pure noise.
///
/// * `x_0`: `[B, …shape]` in f64.
///
/// # Errors
///
/// [`EvaluateError::Mismatch`] if the process has no timesteps.
fn prior(parameterisation: &Parameterisation, x_0: &Tensor) -> Result<Tensor, EvaluateError> {
    let Process::Discrete(schedule) = &parameterisation.process else {
        let reason = "the prior term is of networks on timesteps";
        return Err(EvaluateError::Mismatch(reason.to_owned()));
    };
    let last = schedule.alphas_cumprod()[schedule.timesteps() - 1];
    let zeros = x_0.f_zeros_like()?;
    let ln_variance = &zeros + (1.0 - last).ln();
    bits(&gaussian_kl(&(x_0 * last.sqrt()), &ln_variance, &zeros, &zeros)).map_err(Into::into)
}

/// Turns nats per element into bits per dimension of each item.
fn bits(nats: &Tensor) -> Result<Tensor, TchError> {
    mean_of_items(nats)?.f_div_scalar(LN_2)
}

fn mean_of_items(values: &Tensor) -> Result<Tensor, TchError> {
    values.f_flatten(1, -1)?.f_mean_dim(1, false, Element::Double)
}

/// Sums over the items.
struct Sums {
    prior: f64,
    terms: Vec<f64>,
    mse: Vec<f64>,
    /// One per item.
    totals: Vec<f64>,
}

impl Sums {
    fn new(timesteps: usize) -> Self {
        let (terms, mse) = (vec![0.0; timesteps], vec![0.0; timesteps]);
        Self { prior: 0.0, terms, mse, totals: Vec::new() }
    }

    fn finish(self, kind: Kind) -> Bound {
        let count = self.totals.len() as f64;
        let mean = |sums: Vec<f64>| -> Vec<f64> { sums.iter().map(|sum| sum / count).collect() };
        let (prior, terms, mse) = (self.prior / count, mean(self.terms), mean(self.mse));
        let total = self.totals.iter().sum::<f64>() / count;
        let squares = self.totals.iter().map(|item| (item - total).powi(2)).sum::<f64>();
        let standard_error = (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt());
        let curve = curve(kind, prior, &terms, &mse);
        Bound { items: self.totals.len(), total, standard_error, prior, terms, mse, curve }
    }
}

/// Accumulates the terms from x_T to x_0.
fn curve(kind: Kind, prior: f64, terms: &[f64], mse: &[f64]) -> Vec<RatePoint> {
    let scale = match kind {
        Kind::Image => 127.5,
        Kind::Points2d => 1.0,
    };
    let mut rate = prior;
    let mut curve = Vec::with_capacity(terms.len() + 1);
    for (t, (paid, mse)) in terms.iter().zip(mse).enumerate().rev() {
        curve.push(RatePoint { t: Some(t), rate, distortion: scale * mse.sqrt() });
        rate += paid;
    }
    curve.push(RatePoint { t: None, rate, distortion: 0.0 });
    curve
}

#[cfg(test)]
mod tests;
