//! What is minimised: squared errors, and the terms of the variational bound.

use std::f64::consts::{LN_2, PI};

use ddpm_diffusion::{Network, Point, Prediction, Process, Variance};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use super::Loss;

/// Least probability of a bin, whose logarithm has to exist.
const FLOOR: f64 = 1e-12;

/// Half the width of one of 256 bins of [−1, 1].
const HALF_BIN: f64 = 1.0 / 255.0;

/// What the variational bound of the items of a batch needs.
#[derive(Debug, PartialEq)]
pub struct Variational {
    /// The data, `[B, …shape]`.
    pub x_0: Tensor,
    /// One an item.
    pub terms: Vec<Term>,
    /// Whether x_0 are pictures of 256 levels, whose probability is that of a bin.
    pub discretised: bool,
}

/// The numbers of one term L_{t−1} (Ho et al. 2020, equation 5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// x_0 = p_u x_t + p_F F.
    pub p_u: f64,
    /// See `p_u`.
    pub p_f: f64,
    /// Mean of the posterior: of_x_0 x_0 + of_x_t x_t.
    pub of_x_0: f64,
    /// See `of_x_0`.
    pub of_x_t: f64,
    /// Its log-variance, ln β̃_t.
    pub ln_posterior: f64,
    /// ln β_t, or the log-variance of the steps if it is fixed.
    pub ln_upper: f64,
    /// Whether t = 0: the term is then −ln p(x_0 given x_1).
    pub first: bool,
}

impl Term {
    /// The numbers at a trained timestep of a discrete process.
    ///
    /// # Errors
    ///
    /// As [`Network::at`]; [`ddpm_diffusion::Error::Sampler`] for a process without timesteps, which has
    /// no such terms.
    pub fn at(network: &Network, point: &Point) -> Result<Self, ddpm_diffusion::Error> {
        let (Process::Discrete(schedule), Some(t)) = (&network.process, point.timestep) else {
            return Err(ddpm_diffusion::Error::Sampler(
                "the variational bound is of networks on timesteps".into(),
            ));
        };
        let evaluation = network.at(point)?;
        let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
        let ln_posterior = schedule.posterior_log_variance_clipped(t);
        let ln_upper = match network.variance {
            Variance::FixedSmall => ln_posterior,
            Variance::FixedLarge => schedule.fixed_large_log_variance(t),
            Variance::Learned | Variance::LearnedRange => schedule.betas()[t].ln(),
        };
        let (p_u, p_f) = (evaluation.p_u, evaluation.p_f);
        Ok(Self { p_u, p_f, of_x_0, of_x_t, ln_posterior, ln_upper, first: t == 0 })
    }
}

/// What is minimised, and of which outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objective {
    pub(super) kind: Loss,
    pub(super) variance: Variance,
    pub(super) timesteps: usize,
}

/// The loss of a batch, a scalar.
///
/// * `output`: `[B, …]`, with the variance channels behind the prediction, if there are any.
/// * `x_t`, `target`: `[B, …shape]`.
/// * `weights`: how often the squared error of each item counts, `[B]`; absent: once.
/// * `variational`: for `kl` and `hybrid`.
///
/// # Errors
///
/// libtorch's.
pub(super) fn loss(
    objective: Objective,
    output: &Tensor,
    x_t: &Tensor,
    target: &Tensor,
    weights: Option<&[f32]>,
    variational: Option<&Variational>,
) -> Result<Tensor, TchError> {
    let Objective { kind, variance, timesteps } = objective;
    let channels = target.size()[1];
    let prediction = output.f_narrow(1, 0, channels)?;
    let mse = || match weights {
        None => prediction.f_mse_loss(target, Reduction::Mean),
        Some(weights) => weighted_mse(&prediction, target, weights),
    };
    let Some(variational) = variational else { return mse() };
    let raw = variance.is_learned().then(|| output.f_narrow(1, channels, channels)).transpose()?;
    let bound = |prediction: &Tensor| {
        bits_per_dimension(variational, variance, prediction, raw.as_ref(), x_t)?
            .f_mean(Kind::Float)
    };
    match kind {
        Loss::Mse => mse(),
        Loss::Kl => bound(&prediction),
        // The mean learns from the squared error alone.
        Loss::Hybrid => {
            mse()?.f_add(&(bound(&prediction.f_detach()?)? * (timesteps as f64 / 1000.0)))
        }
    }
}

/// The mean of the items' mean squared errors, each of which counts as often as its weight says.
fn weighted_mse(prediction: &Tensor, target: &Tensor, weights: &[f32]) -> Result<Tensor, TchError> {
    let weights = Tensor::f_from_slice(weights)?.f_to_device(target.device())?;
    let errors = (prediction - target).f_square()?.f_flatten(1, -1)?;
    (errors.f_mean_dim(1, false, Kind::Float)? * weights).f_mean(Kind::Float)
}

/// One term of the variational bound a sample, in bits per dimension: `[B]`.
fn bits_per_dimension(
    variational: &Variational,
    variance: Variance,
    prediction: &Tensor,
    raw: Option<&Tensor>,
    x_t: &Tensor,
) -> Result<Tensor, TchError> {
    let Variational { x_0, terms, discretised } = variational;
    let device = x_t.device();
    let x_0 = x_0.f_to_device(device)?;
    let column = |pick: fn(&Term) -> f64| column(terms, pick, x_t, device);
    let (of_x_0, of_x_t) = (column(|term| term.of_x_0)?, column(|term| term.of_x_t)?);
    let ln_posterior = column(|term| term.ln_posterior)?;
    let ln_upper = column(|term| term.ln_upper)?;

    let mean = {
        let (p_u, p_f) = (column(|term| term.p_u)?, column(|term| term.p_f)?);
        let x_0 = p_u * x_t + p_f * prediction;
        &of_x_0 * x_0 + &of_x_t * x_t
    };
    let ln_variance = match (variance, raw) {
        (Variance::Learned, Some(raw)) => raw.f_add_scalar(0.0)?,
        (Variance::LearnedRange, Some(raw)) => {
            let share = (raw + 1.0) * 0.5;
            &share * &ln_upper + (1.0 - &share) * &ln_posterior
        }
        _ => &ln_upper + x_t.f_zeros_like()?,
    };
    let posterior_mean = &of_x_0 * &x_0 + &of_x_t * x_t;
    let divergence = gaussian_kl(&posterior_mean, &ln_posterior, &mean, &ln_variance);
    let decoder = if *discretised {
        discretised_nll(&x_0, &mean, &ln_variance)
    } else {
        gaussian_nll(&x_0, &mean, &ln_variance)
    };
    let first = column(|term| f64::from(u8::from(term.first)))?.f_gt(0.5)?;
    let nats = decoder.f_where_self(&first, &divergence)?;
    let each = nats.f_flatten(1, -1)?.f_mean_dim(1, false, Kind::Float)?;
    each.f_div_scalar(LN_2)
}

/// A number an item, shaped to be mixed with `like`.
fn column(
    terms: &[Term],
    pick: fn(&Term) -> f64,
    like: &Tensor,
    device: Device,
) -> Result<Tensor, TchError> {
    let numbers: Vec<f32> = terms.iter().map(|term| pick(term) as f32).collect();
    let mut shape = vec![1; like.dim()];
    shape[0] = numbers.len() as i64;
    Tensor::f_from_slice(&numbers)?.f_reshape(&shape[..])?.f_to_device(device)
}

/// KL(N(m₁, v₁) ‖ N(m₂, v₂)) an element, in nats.
pub(crate) fn gaussian_kl(m_1: &Tensor, ln_v_1: &Tensor, m_2: &Tensor, ln_v_2: &Tensor) -> Tensor {
    let shift = (m_1 - m_2).square() * (-ln_v_2).exp();
    0.5f64 * (ln_v_2 - ln_v_1 + (ln_v_1 - ln_v_2).exp() + shift - 1.0)
}

/// −ln N(x; mean, variance) an element, in nats.
pub(crate) fn gaussian_nll(x: &Tensor, mean: &Tensor, ln_variance: &Tensor) -> Tensor {
    0.5f64 * ((2.0 * PI).ln() + ln_variance + (x - mean).square() * (-ln_variance).exp())
}

/// −ln of the probability of x's bin, an element, in nats (Ho et al. 2020, equation 13). The outer bins
/// are open; the normal distribution function is its usual approximation by tanh.
pub(crate) fn discretised_nll(x: &Tensor, mean: &Tensor, ln_variance: &Tensor) -> Tensor {
    let inverse = (ln_variance * -0.5f64).exp();
    let below = |edge: f64| normal_cdf(&((x - mean + edge) * &inverse));
    let (upper, lower) = (below(HALF_BIN), below(-HALF_BIN));
    let inner = (&upper - &lower).clamp_min(FLOOR).log();
    let to_the_left = upper.clamp_min(FLOOR).log();
    let to_the_right = (1.0f64 - lower).clamp_min(FLOOR).log();
    let ln = to_the_right.where_self(&x.gt(0.999), &inner);
    -to_the_left.where_self(&x.lt(-0.999), &ln)
}

fn normal_cdf(z: &Tensor) -> Tensor {
    let cubic = z + 0.044_715f64 * z.pow_tensor_scalar(3);
    0.5f64 * (1.0 + (cubic * (2.0 / PI).sqrt()).tanh())
}

/// Why a loss does not suit a network; `None` if it does.
pub(super) fn objection(kind: Loss, network: &Network) -> Option<&'static str> {
    let learned = network.variance.is_learned();
    let discrete = network.process.timesteps().is_some();
    match kind {
        _ if learned && !discrete => {
            Some("a learned variance needs a process of timesteps: use discrete")
        }
        Loss::Mse if learned => Some("mse teaches a learned variance nothing: use hybrid or kl"),
        Loss::Kl | Loss::Hybrid if !discrete => {
            Some("the variational bound is of networks on timesteps: use mse")
        }
        Loss::Hybrid if !learned => Some("hybrid is for a learned variance: use mse or kl"),
        Loss::Hybrid if network.prediction == Prediction::Mean => {
            Some("hybrid wants eps, x_0 or v: use kl for the mean")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
