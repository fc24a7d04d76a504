//! Why a graph cannot be evaluated, and what to do about it.

use std::path::PathBuf;

use ddpm_package::GraphName;

/// Why a graph cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime was not found.
    #[error(
        "ONNX Runtime was not found (searched {searched}); run `make setup-server` in the \
         checkout, or name the library with --ort-lib or ORT_DYLIB_PATH"
    )]
    NotFound {
        /// The places searched, in order.
        searched: String,
    },
    /// The library exists but cannot be used.
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
    /// ONNX Runtime would report home.
    #[error(
        "ONNX Runtime would report to its vendor: set ORT_DISABLE_TELEMETRY=1 before the program \
         starts, or call ddpm_onnx::disable_telemetry first of all"
    )]
    Telemetry,
    /// Another library is already loaded; a process can hold only one.
    #[error("ONNX Runtime is already loaded, from {}", .0.display())]
    Loaded(PathBuf),
    /// The requested device is not available.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// The requested device.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// The graph does not have the inputs and outputs that the package promises.
    #[error("the graph cannot be used: {0}")]
    Graph(String),
    /// ONNX Runtime failed to run the graph.
    #[error("ONNX Runtime failed: {0}")]
    Run(String),
    /// The package cannot be read.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// The graph is for another provider than the device's.
    #[error("the {graph} graph runs on {wanted} only, not on {device}")]
    Provider {
        /// Name of the graph.
        graph: GraphName,
        /// The provider that it is for.
        wanted: &'static str,
        /// The device.
        device: String,
    },
    /// The graph does not compute what the exporter computed.
    #[error(
        "the {graph} graph on {provider} differs from the golden outputs by {relative:.1e} of \
         their size, more than {tolerance:.0e}: the package, the library or the device is at fault"
    )]
    Golden {
        /// Name of the graph.
        graph: GraphName,
        /// Provider that ran it.
        provider: String,
        /// The difference that is judged, relative to the outputs' root mean square.
        relative: f64,
        /// Largest allowed difference.
        tolerance: f64,
    },
}
