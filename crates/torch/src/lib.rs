//! The parts of libtorch that we need and tch 0.24 does not bind.
//!
//! * [`load_cuda`]: loads CUDA at run time, so one binary serves machines with and without;
//! * [`fused_adam`], [`lerp`], [`clip_grad_norm`]: one call for all tensors of a network;
//! * [`clear_grads`], [`move_grads`]: gradients of several copies of a network, without copying;
//! * [`leaky_relu`]: with any slope;
//! * [`Autocast`]: bf16 arithmetic while a guard lives, on CPU and CUDA;
//! * [`set_channels_last`]: the memory format in which convolutions are fastest;
//! * [`keep_freed_memory`]: reuses freed memory instead of returning it to the system;
//! * [`distributed`]: c10d's process groups, with gradients averaged over them.
//!
//! The C++ is in `cpp/`. Its functions catch every exception, which becomes an [`Error`] here.

/// Version of libtorch that this was built against.
pub const VERSION: &str = env!("DDPM_LIBTORCH_VERSION");

mod ffi;

mod cuda;
pub use cuda::load_cuda;

mod foreach;
pub use foreach::{Adam, AdamState, clip_grad_norm, fused_adam, lerp};

mod gradients;
pub use gradients::{clear_grads, move_grads};

mod activation;
pub use activation::leaky_relu;

mod autocast;
pub use autocast::Autocast;

mod memory;
pub use memory::{keep_freed_memory, set_channels_last};

pub mod distributed;

/// Why a call into libtorch failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Lists that are processed together must have equal length.
    #[error("{list} has {got} tensors, but there are {expected} {first}")]
    Length {
        /// The list that does not fit.
        list: &'static str,
        /// Its length.
        got: usize,
        /// The list that sets the length.
        first: &'static str,
        /// The length it sets.
        expected: usize,
    },
    /// Autocast is implemented for CPU and CUDA only.
    #[error("autocast to bf16 needs a CPU or a CUDA device, got {0:?}")]
    Device(tch::Device),
    /// libtorch failed; the text is its own.
    #[error("libtorch: {0}")]
    Torch(String),
}
