//! Data → model → train → export: everything behind `ddpm-exporter`.
//!
//! The modules stand in the order of the data flow:
//!
//! * [`data`]: files on disk, or a procedure, become batches of x_0;
//! * [`model`]: the networks, written once against the `Ops` trait;
//! * [`sample`], [`picture`]: a network draws samples, and they become a grid in a PNG file;
//! * [`train`]: loss, optimiser, EMA and checkpoints in one readable loop;
//! * [`export`]: a trained network becomes an ONNX model package, and is verified;
//! * [`import`]: models of other programs become packages too;
//! * [`evaluate`]: samples against data, and data under the model;
//! * [`cli`]: the commands, and the flags that override the defaults.

mod splitmix;

pub mod data;

pub mod model;

pub mod sample;

pub mod picture;

pub mod train;

pub mod export;

pub mod import;

pub mod evaluate;

pub mod cli;
