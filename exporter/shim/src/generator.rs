//! Random numbers that nobody else draws from.

use std::ffi::c_void;
use std::ptr;

use tch::Tensor;

use crate::Error;
use crate::ffi::{self, check, raw};

/// A generator for the CPU. libtorch's global one belongs to the whole process: what a thread gets
/// from it depends on what the others do.
#[derive(Debug)]
pub struct Generator(*mut c_void);

// SAFETY: libtorch's generators are counted references to a state behind a mutex.
unsafe impl Send for Generator {}

impl Generator {
    /// A generator that starts from a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if memory is short.
    pub fn new(seed: u64) -> Result<Self, Error> {
        let mut generator = ptr::null_mut();
        // SAFETY: a place for the pointer.
        check(unsafe { ffi::ddpm_torch_generator_new(seed, &mut generator) })?;
        Ok(Self(generator))
    }

    /// Starts again, from another seed.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn seed(&self, seed: u64) -> Result<(), Error> {
        // SAFETY: it lives as long as `self`.
        check(unsafe { ffi::ddpm_torch_generator_seed(self.0, seed) })
    }

    /// Fills a tensor on the CPU with ones, each with the given probability, and zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if the probability is not in [0, 1], or the tensor on another device.
    pub fn bernoulli(&self, tensor: &mut Tensor, probability: f64) -> Result<(), Error> {
        // SAFETY: a live tensor, and a generator that lives as long as `self`.
        check(unsafe { ffi::ddpm_torch_bernoulli(raw(tensor), probability, self.0) })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // SAFETY: it was made by `ddpm_torch_generator_new`, and nobody else has it.
        unsafe { ffi::ddpm_torch_generator_free(self.0) };
    }
}
