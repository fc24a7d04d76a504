//! Taking up CUDA at run time.

use crate::Error;
use crate::ffi;

/// Loads libtorch's CUDA part and looks for a GPU.
///
/// Call it before any other call into tch: the first operation that asks libtorch for CUDA without
/// it caches the answer "none" for the life of the process.
///
/// # Errors
///
/// The reason in words: CUDA libraries that are missing, or no usable GPU. The CPU still works.
pub fn load_cuda() -> Result<(), String> {
    // SAFETY: it takes nothing and catches every C++ exception.
    ffi::check(unsafe { ffi::ddpm_torch_load_cuda() }).map_err(|error| match error {
        Error::Torch(reason) => reason,
        other => other.to_string(),
    })
}
