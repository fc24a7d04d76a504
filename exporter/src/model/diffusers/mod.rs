//! The UNet of the diffusers library, `UNet2DModel`: DDPM's with more ways to build it.
//!
//! It has a file of its own because its parts differ in names, order and options from the reference's; where
//! both can express a network they compute the same (the exporter writes ours as one of these).
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
