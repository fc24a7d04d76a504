//! Memory formats, and reuse of freed memory.

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw};

/// Changes the memory layout of a 4-D tensor to NHWC; shape [N, C, H, W] and values stay.
///
/// Works in place, for weights and inputs; tensors of other ranks stay unchanged. Convert weights
/// before creating the optimiser's state, so that gradients and moments follow.
///
/// # Errors
///
/// [`Error::Torch`] if libtorch cannot allocate the copy.
pub fn set_channels_last(tensor: &Tensor) -> Result<(), Error> {
    // SAFETY: passes one live tensor; the C++ side replaces its data, never the handle.
    check(unsafe { ffi::ddpm_torch_set_channels_last(raw(tensor)) })
}

/// Lets this process keep the memory of freed CPU tensors for the next ones.
///
/// Training steps free and allocate the same sizes over and over. By default glibc returns large
/// blocks to the system each time, which hands them out again page by page, filled with zeros. With
/// other C libraries this does nothing.
pub fn keep_freed_memory() {
    // SAFETY: sets two parameters of the allocator.
    unsafe { ffi::ddpm_torch_keep_freed_memory() };
}
