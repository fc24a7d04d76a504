//! Activations that tch binds with default parameters only.

use std::ptr;

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw};

/// Computes x where it is above 0, `slope` · x elsewhere: any shape, differentiable.
///
/// # Errors
///
/// [`Error::Torch`] if memory is short.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor, Error> {
    let mut out = ptr::null_mut();
    // SAFETY: passes a live tensor, and a place for a pointer to another.
    check(unsafe { ffi::ddpm_torch_leaky_relu(raw(x), slope, &mut out) })?;
    // SAFETY: the tensor is new and has no other owner; tch frees it.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}
