//! Loads ONNX Runtime and evaluates the graphs of model packages.
//!
//! The only crate that knows `ort`: the server's devices and the exporter's parity check build on
//! it.
//!
//! * [`disable_telemetry`]: what programs call first.
//! * [`Runtime`]: the library, found and loaded once per process.
//! * [`Device`]: where graphs run, and why there.
//! * [`Denoiser`]: one graph of a package, ready to evaluate.
//! * [`Bound`]: the same with the state of samples in the device's memory.
//! * [`Extractor`]: a graph from pictures to features, for evaluation.

mod error;
pub use error::Error;

mod telemetry;
pub use telemetry::disable_telemetry;

mod library;
pub use library::{Runtime, RuntimeOptions};

mod gpu;

mod device;
pub use device::{Device, DeviceChoice};

mod batch;
pub use batch::Batch;

mod graph;

mod lanes;

mod timing;

mod examples;

mod form;

mod denoiser;
pub use denoiser::{Denoiser, Optimisation};

mod bound;
pub use bound::{Bound, Look, Seen, Step};

mod extractor;
pub use extractor::Extractor;
