//! Why a graph cannot be evaluated, and what to do about it.

use std::path::PathBuf;

/// Why a graph cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime is nowhere to be found.
    #[error(
        "ONNX Runtime was not found (looked for {looked}); run `make setup-server` in the checkout, \
         or name the library with --ort-lib or ORT_DYLIB_PATH"
    )]
    NotFound {
        /// The places, in order.
        looked: String,
    },
    /// The library is there but cannot be used.
    #[error(
        "{}: this ONNX Runtime cannot be used: {reason}; `make setup-server` fetches one that fits",
        path.display()
    )]
    Library {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another library is loaded already; a process can hold only one.
    #[error("ONNX Runtime is loaded already, from {}", .0.display())]
    Loaded(PathBuf),
    /// A device was asked for that is not there.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// As asked for.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// The graph is not one that a package promises.
    #[error("the graph cannot be used: {0}")]
    Graph(String),
    /// ONNX Runtime failed while it ran the graph.
    #[error("ONNX Runtime failed: {0}")]
    Run(String),
    /// The package cannot be read.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// The graph does not compute what the exporter computed.
    #[error(
        "the {graph} graph on {provider} differs from the golden outputs by {relative:.1e} of their \
         size, more than {tolerance:.0e}: the package, the library or the device is at fault"
    )]
    Golden {
        /// Which graph.
        graph: &'static str,
        /// Which provider ran it.
        provider: String,
        /// Largest difference, relative to the outputs' root mean square.
        relative: f64,
        /// The bound.
        tolerance: f64,
    },
}
