//! Updates all tensors of a network in one call.
//!
//! All lists have the same order: entry i of each belongs to parameter i. Nothing is recorded for
//! differentiation.

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw_list};

/// Hyperparameters of one Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of gradients, in [0, 1).
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 penalty: its product with the parameter is added to the gradient; 0 switches it off.
    pub weight_decay: f64,
}

/// State of Adam between steps; all zeros before the first.
#[derive(Debug, Clone, Copy)]
pub struct AdamState<'a> {
    /// First moments m, shaped like the parameters.
    pub exp_avg: &'a [Tensor],
    /// Second moments v, shaped like the parameters.
    pub exp_avg_sq: &'a [Tensor],
    /// Number of steps taken: one f32 scalar per parameter, on its device.
    pub steps: &'a [Tensor],
}

/// Takes one Adam step: updates `params` and `state` in place, and increments `steps`.
///
/// `grads` are shaped like `params`, all on one device.
///
/// # Errors
///
/// [`Error::Length`] if the lists differ in length; [`Error::Torch`] if a gradient is undefined or
/// shapes, types or devices differ. Then nothing changes.
///
/// # Source
///
/// Kingma & Ba 2015, algorithm 1, <https://arxiv.org/abs/1412.6980>; the kernel is
/// `torch.optim.Adam(fused=True)`'s.
pub fn fused_adam(
    adam: &Adam,
    params: &[Tensor],
    grads: &[Tensor],
    state: &AdamState<'_>,
) -> Result<(), Error> {
    let AdamState { exp_avg, exp_avg_sq, steps } = *state;
    for (list, tensors) in
        [("grads", grads), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq), ("steps", steps)]
    {
        check_same_length(list, tensors, "params", params)?;
    }
    if params.is_empty() {
        return Ok(());
    }
    // SAFETY: passes five lists of `params.len()` live tensors each.
    check(unsafe {
        ffi::ddpm_torch_fused_adam(
            raw_list(params).as_ptr(),
            raw_list(grads).as_ptr(),
            raw_list(exp_avg).as_ptr(),
            raw_list(exp_avg_sq).as_ptr(),
            raw_list(steps).as_ptr(),
            params.len(),
            adam.lr,
            adam.beta1,
            adam.beta2,
            adam.eps,
            adam.weight_decay,
        )
    })
}

/// Moves each target towards its source: target += weight · (source − target).
///
/// An exponential moving average with decay d is `lerp(ema, params, 1 - d)`.
///
/// # Errors
///
/// [`Error::Length`] if the lists differ in length; [`Error::Torch`] if shapes, types or devices
/// differ.
pub fn lerp(targets: &[Tensor], sources: &[Tensor], weight: f64) -> Result<(), Error> {
    check_same_length("sources", sources, "targets", targets)?;
    if targets.is_empty() {
        return Ok(());
    }
    // SAFETY: passes two lists of `targets.len()` live tensors each.
    check(unsafe {
        ffi::ddpm_torch_lerp(
            raw_list(targets).as_ptr(),
            raw_list(sources).as_ptr(),
            targets.len(),
            weight,
        )
    })
}

/// Scales all gradients by one factor so that their joint L2 norm is at most `max_norm`.
///
/// Returns the norm before scaling. If it is infinite or NaN, the gradients stay unchanged: check
/// the returned norm, and skip the step.
///
/// # Errors
///
/// [`Error::Torch`] if a gradient is undefined, or they are on different devices.
pub fn clip_grad_norm(grads: &[Tensor], max_norm: f64) -> Result<f64, Error> {
    let mut norm = 0.0;
    if grads.is_empty() {
        return Ok(norm);
    }
    // SAFETY: passes one list of `grads.len()` live tensors, and a place for the norm.
    check(unsafe {
        ffi::ddpm_torch_clip_grad_norm(raw_list(grads).as_ptr(), grads.len(), max_norm, &mut norm)
    })?;
    Ok(norm)
}

pub(crate) fn check_same_length(
    list: &'static str,
    tensors: &[Tensor],
    first: &'static str,
    expected: &[Tensor],
) -> Result<(), Error> {
    if tensors.len() == expected.len() {
        return Ok(());
    }
    Err(Error::Length { list, got: tensors.len(), first, expected: expected.len() })
}
