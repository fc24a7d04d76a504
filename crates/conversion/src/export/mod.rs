//! From a network to an ONNX model package, and back.
//!
//! * [`Trace`], [`Value`]: record a graph: nodes, names and constants;
//! * `ops`: the networks' vocabulary as ONNX operations, on a [`Trace`];
//! * [`int8`]: a graph whose convolutions are on 8-bit integers;
//! * `watched`, [`ranges`]: what goes through the layers of a network, and whether f16 holds it;
//! * `tape`: the calls of a network as data, for dialects that fuse them;
//! * [`cuda`]: a graph in f16 for ONNX Runtime's CUDA provider, and [`lower`], its proof on a CPU;
//! * [`graph`]: from a network to the bytes of an ONNX file;
//! * [`read`]: the way back, from an ONNX file to the network;
//! * [`golden`]: vectors to check a package with;
//! * `diffusers`, `python`: the package as a pipeline of diffusers, and its use from Python;
//! * [`variants`]: graphs besides the portable one;
//! * [`extend`]: more graphs for a package that exists;
//! * [`contents`]: everything in the package of a trained or imported model;
//! * [`card`]: the model card;
//! * [`triton`]: a package's graph as a model of Triton;
//! * [`verify`]: a package recomputed in libtorch and in ONNX Runtime.

mod error;
pub use error::ExportError;

mod json;
pub use json::to_json;

mod trace;
pub use trace::{Trace, Value};

mod ops;

pub mod graph;

mod tape;

pub mod cuda;

pub mod int8;

pub mod lower;

mod watched;

pub mod ranges;

pub mod read;

pub mod finite;

pub mod golden;

mod diffusers;

mod python;

pub mod variants;

pub mod extend;

pub mod contents;

pub mod card;

pub mod triton;

pub mod verify;
