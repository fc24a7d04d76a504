//! Gradients that become the mean over all ranks while the backward pass still runs.

use std::ffi::c_void;
use std::ptr;

use tch::Tensor;

use super::ProcessGroup;
use crate::Error;
use crate::ffi::{self, check, raw_list};

/// The engine of PyTorch's `DistributedDataParallel`.
///
/// It watches the gradients of parameters. Once all of a bucket are there, they are sent while those
/// of earlier layers are computed; at the end of the backward pass every gradient is the mean over the
/// ranks.
///
/// # Source
///
/// Li et al. 2020, section 3.2, <https://arxiv.org/abs/2006.15704>.
#[derive(Debug)]
pub struct Reducer(*mut c_void);

// SAFETY: it locks what the hooks share, which autograd calls from threads of its own anyway.
unsafe impl Send for Reducer {}

impl Reducer {
    /// Bytes of a bucket that suit most machines: PyTorch's default.
    pub const BUCKET_BYTES: usize = 25 << 20;

    /// Watches `parameters`, which are leaves, the same in number and shape on every rank, and each
    /// part of every loss.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if a parameter is not a leaf that wants a gradient.
    pub fn new(
        group: &ProcessGroup,
        parameters: &[Tensor],
        bucket_bytes: usize,
    ) -> Result<Self, Error> {
        let list = raw_list(parameters);
        let mut out = ptr::null_mut();
        // SAFETY: a live group and tensors, which the reducer holds; and a place for it.
        check(unsafe {
            let (list, len) = (list.as_ptr(), list.len());
            ffi::ddpm_torch_reducer_new(group.as_ptr(), list, len, bucket_bytes, &mut out)
        })?;
        Ok(Self(out))
    }

    /// Says that the next backward pass is to be averaged. Without it, gradients add up on each rank
    /// by itself, and the next pass that is averaged takes their sums with it.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if the last backward pass that was to be averaged did not end, or another
    /// rank is lost.
    pub fn prepare(&self) -> Result<(), Error> {
        // SAFETY: a live reducer.
        check(unsafe { ffi::ddpm_torch_reducer_prepare(self.0) })
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and freed once.
        unsafe { ffi::ddpm_torch_reducer_free(self.0) };
    }
}
