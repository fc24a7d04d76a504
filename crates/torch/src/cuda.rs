//! Loads CUDA at run time.

use crate::{Error, ffi};

/// Loads libtorch's CUDA part and looks for a GPU.
///
/// Call it before any other call into tch: otherwise the first operation that queries libtorch for
/// CUDA caches the answer "none" for the life of the process.
///
/// # Errors
///
/// A description of the reason: CUDA libraries are missing, or there is no usable GPU. The CPU
/// still works.
pub fn load_cuda() -> Result<(), String> {
    // SAFETY: takes no arguments and catches every C++ exception.
    ffi::check(unsafe { ffi::ddpm_torch_load_cuda() }).map_err(|error| match error {
        Error::Torch(reason) => reason,
        other => other.to_string(),
    })
}
