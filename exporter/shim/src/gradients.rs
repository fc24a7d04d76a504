//! Gradients of leaves: forgotten, or handed from one copy of a network to another.

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw_list};
use crate::foreach::same_length;

/// Forgets the gradients of all `params`, so that the next backward pass begins new ones and need not
/// add to zeros.
///
/// # Errors
///
/// [`Error::Torch`] if a tensor is undefined.
pub fn clear_grads(params: &[Tensor]) -> Result<(), Error> {
    // SAFETY: one list of `params.len()` live tensors.
    check(unsafe { ffi::ddpm_torch_clear_grads(raw_list(params).as_ptr(), params.len()) })
}

/// Adds the gradient of each of `from` to that of its partner in `into`, and forgets it. Where the
/// partner has none yet, the gradient changes hands and nothing is copied.
///
/// # Errors
///
/// [`Error::Length`] if the lists differ in length; [`Error::Torch`] if shapes, types or devices do:
/// then nothing was changed.
pub fn move_grads(from: &[Tensor], into: &[Tensor]) -> Result<(), Error> {
    same_length("from", from, "into", into)?;
    // SAFETY: two lists of `into.len()` live tensors.
    check(unsafe {
        ffi::ddpm_torch_move_grads(raw_list(from).as_ptr(), raw_list(into).as_ptr(), into.len())
    })
}
