//! A trained network becomes an ONNX model package.
//!
//! * [`graph`]: a network to the bytes of an ONNX file;
//! * `trace`: the recording behind it, a second implementation of the networks' vocabulary;
//! * `record`: nodes, names and constants, for `trace`;
//! * [`onnx`]: the messages of the file format.

pub mod onnx;

mod record;

mod trace;

pub mod graph;
