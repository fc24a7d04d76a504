//! The losses: squared errors, and terms of the variational bound.

use std::f64::consts::LN_2;

use ddpm_diffusion::{BoundTerm, Variance};
use ddpm_network::likelihood::{discretised_nll, gaussian_kl, gaussian_nll};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::batching::Variational;
use crate::config::{DiffusionConfig, Loss};

/// The loss, with what it depends on besides the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objective {
    pub(crate) kind: Loss,
    pub(crate) variance: Variance,
    pub(crate) timesteps: usize,
}

impl Objective {
    pub(crate) fn new(diffusion: &DiffusionConfig) -> Self {
        let DiffusionConfig { variance, timesteps, .. } = *diffusion;
        Self { kind: diffusion.loss(), variance, timesteps }
    }
}

/// Computes the loss of a batch, a scalar.
///
/// * `output`: `[B, …]`, with any variance channels after the prediction.
/// * `x_t`, `target`: `[B, …shape]`.
/// * `weights`: the weight of the squared error of each row, `[B]`; absent: 1.
/// * `variational`: for `kl` and `hybrid`.
///
/// # Errors
///
/// libtorch's.
pub(crate) fn loss(
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
        // The prediction learns from the squared error alone.
        Loss::Hybrid => {
            mse()?.f_add(&(bound(&prediction.f_detach()?)? * (timesteps as f64 / 1000.0)))
        }
    }
}

/// Averages the weighted mean squared errors of the rows.
fn weighted_mse(prediction: &Tensor, target: &Tensor, weights: &[f32]) -> Result<Tensor, TchError> {
    let weights = Tensor::f_from_slice(weights)?.f_to_device(target.device())?;
    let errors = (prediction - target).f_square()?.f_flatten(1, -1)?;
    (errors.f_mean_dim(1, false, Kind::Float)? * weights).f_mean(Kind::Float)
}

/// Computes one term of the variational bound per sample, in bits per dimension: `[B]`.
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
    let column = |pick: fn(&BoundTerm) -> f64| column(terms, pick, x_t, device);
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

/// Makes a tensor of one number per row that broadcasts over `like`.
fn column(
    terms: &[BoundTerm],
    pick: fn(&BoundTerm) -> f64,
    like: &Tensor,
    device: Device,
) -> Result<Tensor, TchError> {
    let numbers: Vec<f32> = terms.iter().map(|term| pick(term) as f32).collect();
    let mut shape = vec![1; like.dim()];
    shape[0] = numbers.len() as i64;
    Tensor::f_from_slice(&numbers)?.f_reshape(&shape[..])?.f_to_device(device)
}

#[cfg(test)]
mod tests;
