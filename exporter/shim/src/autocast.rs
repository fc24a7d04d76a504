//! Mixed precision: convolutions, matrix products and attention in bf16, the rest in f32.

use std::ffi::c_int;
use std::marker::PhantomData;

use tch::Device;

use crate::Error;
use crate::ffi::{self, check};

/// While it lives, this thread's operations on one kind of device run in bf16 where that is safe.
///
/// Hold it over the forward pass and the loss, and drop it before the backward pass: autograd
/// repeats the types of the forward pass by itself. Guards nest.
#[derive(Debug)]
pub struct Autocast {
    cuda: c_int,
    /// What was set before: on or off, and the type.
    previous: (c_int, c_int),
    /// Autocast is a setting of the thread, so the guard must be dropped on the same one.
    _not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Switches autocast to bf16 on for the kind of `device`.
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
        // SAFETY: two places for the answers.
        check(unsafe { ffi::ddpm_torch_autocast_get(cuda, &mut enabled, &mut dtype) })?;
        // SAFETY: it takes no pointers.
        check(unsafe { ffi::ddpm_torch_autocast_enter_bf16(cuda) })?;
        Ok(Autocast { cuda, previous: (enabled, dtype), _not_send: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        let (enabled, dtype) = self.previous;
        // It fails only for a device type that `bf16` has refused, so there is nothing to report.
        // SAFETY: it takes no pointers.
        let _ = check(unsafe { ffi::ddpm_torch_autocast_leave(self.cuda, enabled, dtype) });
    }
}
