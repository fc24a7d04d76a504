//! Checks a package: recomputes the golden outputs of every graph.
//!
//! The network is also read back from the portable graph and computed in libtorch; the graph for
//! CUDA is computed on a GPU where there is one, and lowered to the CPU elsewhere.

use ddpm_network::sample::forward;
use ddpm_onnx::{Denoiser, Device, DeviceChoice, Optimisation, Runtime, RuntimeOptions};
use ddpm_package::{Comparison, GraphName, Package, portable_tolerance};

use super::lower::{LowerError, Rounding, lower};
use super::read::{self, ReadError};

/// The result of one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The engine with its version and device.
    pub engine: String,
    /// The graph that it computed.
    pub graph: GraphName,
    /// Its differences from the golden outputs, and their size.
    pub comparison: Comparison,
    /// The largest [`Check::relative`] allowed.
    pub tolerance: f64,
}

impl Check {
    /// Returns the difference that is judged, relative to the outputs' root mean square.
    #[must_use]
    pub fn relative(&self) -> f64 {
        self.comparison.relative(self.graph)
    }

    /// Returns whether the difference is within the tolerance.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.relative() <= self.tolerance
    }
}

/// The reason why a package cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The package is damaged.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// Its graph was not written here.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its graph for CUDA was not written here.
    #[error("the graph for CUDA cannot be checked: {0}")]
    Lower(#[from] LowerError),
    /// ONNX Runtime is missing, or cannot run the graph.
    #[error(transparent)]
    Onnx(#[from] ddpm_onnx::Error),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// Recomputes the golden outputs: the portable graph's in both engines, then those of every other
/// graph.
///
/// # Errors
///
/// [`VerifyError`] if an engine cannot compute; differences are not errors, see
/// [`Check::passes`].
pub fn verify(
    package: &Package,
    runtime: &RuntimeOptions,
    device: DeviceChoice,
) -> Result<Vec<Check>, VerifyError> {
    let mut checks = vec![in_libtorch(package)?];
    let runtime = Runtime::load(runtime)?;
    let device = Device::choose(runtime, device)?;
    for graph in package.manifest().graph_names() {
        checks.push(match graph {
            GraphName::Cuda if device.provider() != "cuda" => lowered(package, runtime)?,
            GraphName::Int8 if device.provider() != "cpu" => {
                let cpu = Device::choose(runtime, DeviceChoice::Cpu)?;
                in_onnx_runtime(package, runtime, &cpu, graph)?
            }
            _ => in_onnx_runtime(package, runtime, &device, graph)?,
        });
    }
    Ok(checks)
}

/// Runs the network, read back from the graph, on the CPU, where the golden outputs were computed.
fn in_libtorch(package: &Package) -> Result<Check, VerifyError> {
    let network = read::network(&package.portable_graph()?, tch::Device::Cpu)?;
    let golden = package.golden()?;
    let labels = golden.class_labels.as_deref();
    let outputs = forward(&network, tch::Device::Cpu, &golden.sample, &golden.timestep, labels)?;
    Ok(Check {
        engine: format!("libtorch {} on cpu", ddpm_torch::VERSION),
        graph: GraphName::Portable,
        comparison: golden.compare(&outputs),
        tolerance: portable_tolerance("cpu"),
    })
}

fn in_onnx_runtime(
    package: &Package,
    runtime: &Runtime,
    device: &Device,
    graph: GraphName,
) -> Result<Check, VerifyError> {
    let mut denoiser = Denoiser::open_graph(runtime, device, package, graph)?;
    Ok(Check {
        engine: format!("ONNX Runtime {} on {}", runtime.version(), device.name()),
        graph,
        comparison: denoiser.compare_golden(package)?,
        tolerance: package.tolerance_of(graph, device.provider())?,
    })
}

/// Runs the graph for CUDA on the CPU, with the roundings of f16.
fn lowered(package: &Package, runtime: &Runtime) -> Result<Check, VerifyError> {
    let graph = GraphName::Cuda;
    let bytes = lower(&package.graph(graph)?, Rounding::Half)?;
    let mut denoiser = Denoiser::open_bytes(runtime, package, graph, &bytes, Optimisation::None)?;
    Ok(Check {
        engine: format!("ONNX Runtime {} on cpu, lowered", runtime.version()),
        graph,
        comparison: denoiser.compare_golden(package)?,
        tolerance: package.tolerance_of(graph, "cuda")?,
    })
}
