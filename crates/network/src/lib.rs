//! The networks, written once against a small vocabulary of tensor operations, and the samples
//! drawn from them.
//!
//! [`Network::forward`] speaks only [`Ops`]. With [`Eager`] it computes in libtorch, for training
//! and sampling; with `Trace` of `ddpm-conversion` the same lines record an ONNX graph. The two
//! agree by construction, and tests check it.
//!
//! There are three kinds of network: the UNet of DDPM for images, a small residual MLP for points
//! in the plane, and the UNet of the diffusers library for models that come from there. Parameters
//! have the names of the reference implementation's checkpoints, or those of diffusers.
//!
//! * [`ModelConfig`]: the settings, and the checks that make them a network;
//! * [`Ops`]: the vocabulary; [`Eager`]: the same, computed by libtorch;
//! * `layers`, `time`, `blocks`, `unet`, `toy`, `diffusers`: the networks, from the parts up;
//! * [`Network`]: any of them, with its parameters; [`load_state`] fills these;
//! * [`tensors`]: named tensors as safetensors files;
//! * [`likelihood`]: the log-likelihoods that make up the variational bound;
//! * [`sample`]: samples drawn in libtorch.

mod config;
pub use config::{ModelConfig, ToyConfig, UnetConfig};

mod error;
pub use error::ConfigError;

mod validate;

mod inputs;
pub use inputs::Inputs;

mod ops;
pub use ops::{Ops, Param};

mod masks;
pub use masks::Masks;

mod eager;
pub use eager::Eager;

mod layers;

mod time;
pub use time::timestep_embedding;

mod blocks;

mod unet;

mod toy;

mod diffusers;
pub use diffusers::{DiffusersUnetConfig, DownBlockType, Resampling, TimeScaleShift, UpBlockType};

mod state;
pub use state::{StateError, load_state};

mod network;
pub use network::Network;

pub mod tensors;

pub mod likelihood;

pub mod sample;
