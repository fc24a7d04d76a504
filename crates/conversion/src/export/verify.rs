//! Checks a package: recomputes its golden outputs in libtorch and in ONNX Runtime.

use ddpm_network::sample::forward;
use ddpm_onnx::{Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{Comparison, Package, tolerance};

use super::read::{self, ReadError};

/// The result of one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The engine with its version and device.
    pub engine: String,
    /// Its largest difference from the golden outputs, and their size.
    pub comparison: Comparison,
    /// The largest difference allowed, relative to the outputs' root mean square.
    pub tolerance: f64,
}

impl Check {
    /// Returns whether the difference is within the tolerance.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.comparison.relative() <= self.tolerance
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
    /// ONNX Runtime is missing, or cannot run the graph.
    #[error(transparent)]
    Onnx(#[from] ddpm_onnx::Error),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// Recomputes the golden outputs in both engines.
///
/// # Errors
///
/// [`VerifyError`] if an engine cannot compute; differences are not errors, see
/// [`Check::passes`].
pub fn verify(
    package: &Package,
    runtime: &RuntimeOptions,
    device: DeviceChoice,
) -> Result<[Check; 2], VerifyError> {
    Ok([in_libtorch(package)?, in_onnx_runtime(package, runtime, device)?])
}

/// Runs the network, read back from the graph, on the CPU, where the golden outputs were computed.
fn in_libtorch(package: &Package) -> Result<Check, VerifyError> {
    let network = read::network(&package.portable_graph()?, tch::Device::Cpu)?;
    let golden = package.golden()?;
    let labels = golden.class_labels.as_deref();
    let outputs = forward(&network, tch::Device::Cpu, &golden.sample, &golden.timestep, labels)?;
    Ok(Check {
        engine: format!("libtorch {} on cpu", ddpm_torch::VERSION),
        comparison: golden.compare(&outputs),
        tolerance: tolerance(Denoiser::GRAPH, "cpu"),
    })
}

fn in_onnx_runtime(
    package: &Package,
    options: &RuntimeOptions,
    choice: DeviceChoice,
) -> Result<Check, VerifyError> {
    let runtime = Runtime::load(options)?;
    let device = Device::choose(runtime, choice)?;
    let mut denoiser = Denoiser::open(runtime, &device, package)?;
    Ok(Check {
        engine: format!("ONNX Runtime {} on {}", runtime.version(), device.name()),
        comparison: denoiser.compare_golden(package)?,
        tolerance: tolerance(Denoiser::GRAPH, device.provider()),
    })
}
