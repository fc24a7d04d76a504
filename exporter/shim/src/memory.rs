//! Memory formats.

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw};

/// Lays a 4-D tensor out in memory as NHWC; its shape stays [N, C, H, W], its values too.
///
/// Works in place, for weights and for inputs; tensors of other ranks are left alone. Convert
/// weights before the optimiser's state is made, so that gradients and moments follow.
///
/// # Errors
///
/// [`Error::Torch`] if libtorch cannot allocate the copy.
pub fn set_channels_last(tensor: &Tensor) -> Result<(), Error> {
    // SAFETY: one live tensor; the C++ side replaces its data, never the handle.
    check(unsafe { ffi::ddpm_torch_set_channels_last(raw(tensor)) })
}

/// Lets this process keep the memory of tensors on the CPU that it frees, for the next ones.
///
/// A training step frees and takes the same sizes again and again. Without this, glibc gives large
/// ones back to the system each time, which hands them out again page by page, filled with zeros.
/// With another C library it does nothing.
pub fn keep_freed_memory() {
    // SAFETY: it sets two parameters of the allocator.
    unsafe { ffi::ddpm_torch_keep_freed_memory() };
}
