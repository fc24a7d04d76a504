//! Loads ONNX Runtime and evaluates the graphs of model packages.
//!
//! The one place that knows the `ort` crate: the server's devices and the
//! exporter's parity check stand on it.
//!
//! * [`Runtime`]: the library, found and loaded once a process.
//! * [`Device`]: where graphs run, with the reason for the choice.
//! * [`Denoiser`]: one graph of a package, ready to evaluate.
//! * [`Extractor`]: a graph from pictures to features, for evaluation.

mod error;
pub use error::Error;

mod library;
pub use library::{Runtime, RuntimeOptions};

mod device;
pub use device::{Device, DeviceChoice};

mod denoiser;
pub use denoiser::{Batch, Denoiser};

mod extractor;
pub use extractor::Extractor;
