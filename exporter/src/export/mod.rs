//! A trained network becomes an ONNX model package, and is verified.
//!
//! * [`graph`]: a network to the bytes of an ONNX file;
//! * `trace`: the recording behind it, a second implementation of the networks' vocabulary;
//! * `record`: nodes, names and constants, for `trace`;
//! * [`onnx`]: the messages of the file format;
//! * [`read`]: the way back, from an ONNX file to the network;
//! * [`contents`]: what a package is made of, whoever trained it;
//! * `diffusers`, `python`: the same package as a pipeline of diffusers, and how Python uses it;
//! * [`package`]: the package of a training run, with `golden` and `card`;
//! * [`triton`]: a package's graph as a model of Triton;
//! * [`verify`]: the package recomputed in libtorch and in ONNX Runtime.

pub mod onnx;

mod record;

mod trace;

pub mod graph;

pub mod read;

pub(crate) mod golden;

pub(crate) mod card;

mod diffusers;

mod python;

pub mod contents;

pub mod package;

pub mod triton;

pub mod verify;
