//! The UNet of the diffusers library, `UNet2DModel`: DDPM's with more ways to build it.
//!
//! Its parts differ from the reference's in names, order and options. Where both can express a
//! network, they compute the same, so packages hold our UNet in this form too.
//!
//! # Source
//!
//! `UNet2DModel` of <https://github.com/huggingface/diffusers>, version 0.42.

mod config;
pub use config::{DiffusersUnetConfig, DownBlockType, Resampling, TimeScaleShift, UpBlockType};

mod validate;

mod blocks;

mod unet;
pub(super) use unet::DiffusersUnet;
