//! Mixed precision: convolutions, matrix products and attention in bf16, the rest in f32.

use std::ffi::c_int;
use std::marker::PhantomData;

use tch::Device;

use crate::Error;
use crate::ffi::{self, check};

/// A guard: while it lives, this thread's operations on one kind of device run in bf16 where safe.
///
/// Hold it over the forward pass and the loss, and drop it before the backward pass: autograd
/// repeats the types of the forward pass. Guards nest.
#[derive(Debug)]
pub struct Autocast {
    cuda: c_int,
    /// The previous setting: on or off, and the type.
    previous: (c_int, c_int),
    /// Autocast is set per thread, so the guard must be dropped on the thread that made it.
    _not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Enables autocast to bf16 for the kind of `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if `device` is neither CPU nor CUDA.
    pub fn bf16(device: Device) -> Result<Autocast, Error> {
        let cuda = match device {
            Device::Cpu => 0,
            Device::Cuda(_) => 1,
            other => return Err(Error::Device(other)),
        };
        let (mut enabled, mut dtype) = (0, 0);
        // SAFETY: passes two places for the results.
        check(unsafe { ffi::ddpm_torch_autocast_get(cuda, &mut enabled, &mut dtype) })?;
        // SAFETY: takes no pointers.
        check(unsafe { ffi::ddpm_torch_autocast_enter_bf16(cuda) })?;
        Ok(Autocast { cuda, previous: (enabled, dtype), _not_send: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        let (enabled, dtype) = self.previous;
        // It fails only for device types that `bf16` refuses, so there is nothing to report.
        // SAFETY: takes no pointers.
        let _ = check(unsafe { ffi::ddpm_torch_autocast_leave(self.cuda, enabled, dtype) });
    }
}
