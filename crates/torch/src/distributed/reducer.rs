//! Averages gradients over all ranks during the backward pass.

use std::ffi::c_void;
use std::ptr;

use tch::Tensor;

use super::ProcessGroup;
use crate::Error;
use crate::ffi::{self, check, raw_list};

/// The engine of PyTorch's `DistributedDataParallel`.
///
/// It watches the gradients of parameters. Once a bucket is complete, it is sent while the
/// gradients of earlier layers are still being computed; after the backward pass every gradient is
/// the mean over the ranks.
///
/// # Source
///
/// Li et al. 2020, section 3.2, <https://arxiv.org/abs/2006.15704>.
#[derive(Debug)]
pub struct Reducer(*mut c_void);

// SAFETY: it locks what its hooks share; autograd already calls them from its own threads.
unsafe impl Send for Reducer {}

impl Reducer {
    /// PyTorch's default bucket size in bytes, which suits most machines.
    pub const BUCKET_BYTES: usize = 25 << 20;

    /// Watches `parameters`, which must be leaves, equal in number and shape on every rank, and
    /// must each contribute to every loss.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if a parameter is not a leaf that requires a gradient.
    pub fn new(
        group: &ProcessGroup,
        parameters: &[Tensor],
        bucket_bytes: usize,
    ) -> Result<Self, Error> {
        let list = raw_list(parameters);
        let mut out = ptr::null_mut();
        // SAFETY: passes a live group and tensors, which the reducer holds, and a place for it.
        check(unsafe {
            let (list, len) = (list.as_ptr(), list.len());
            ffi::ddpm_torch_reducer_new(group.as_ptr(), list, len, bucket_bytes, &mut out)
        })?;
        Ok(Self(out))
    }

    /// Averages the next backward pass. Without it, gradients accumulate on each rank separately,
    /// and the next averaged pass includes the accumulated sums.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if the last averaged backward pass did not complete, or another rank is
    /// lost.
    pub fn prepare(&self) -> Result<(), Error> {
        // SAFETY: passes a live reducer.
        check(unsafe { ffi::ddpm_torch_reducer_prepare(self.0) })
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: created by `new`, and freed once.
        unsafe { ffi::ddpm_torch_reducer_free(self.0) };
    }
}
