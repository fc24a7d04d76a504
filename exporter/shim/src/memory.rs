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
