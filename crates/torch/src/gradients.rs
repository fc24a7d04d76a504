//! Clears the gradients of leaves, or moves them from one copy of a network to another.

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw_list};
use crate::foreach::check_same_length;

/// Drops the gradients of all `params`, so that the next backward pass creates new ones instead of
/// adding to zeros.
///
/// # Errors
///
/// [`Error::Torch`] if a tensor is undefined.
pub fn clear_grads(params: &[Tensor]) -> Result<(), Error> {
    // SAFETY: passes one list of `params.len()` live tensors.
    check(unsafe { ffi::ddpm_torch_clear_grads(raw_list(params).as_ptr(), params.len()) })
}

/// Adds the gradient of each tensor of `from` to that of its counterpart in `into`, and drops it.
/// If the counterpart has none yet, the gradient is moved without a copy.
///
/// # Errors
///
/// [`Error::Length`] if the lists differ in length; [`Error::Torch`] if shapes, types or devices
/// differ. Then nothing changes.
pub fn move_grads(from: &[Tensor], into: &[Tensor]) -> Result<(), Error> {
    check_same_length("from", from, "into", into)?;
    // SAFETY: passes two lists of `into.len()` live tensors each.
    check(unsafe {
        ffi::ddpm_torch_move_grads(raw_list(from).as_ptr(), raw_list(into).as_ptr(), into.len())
    })
}
