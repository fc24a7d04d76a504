//! Engines that evaluate a model's network: libtorch and ONNX Runtime.

use ddpm_evaluation::EvaluateError;
use ddpm_evaluation::extractor::OnnxOptions;
use ddpm_network::Network;
use ddpm_network::sample::forward;
use ddpm_onnx::{Batch, Denoiser};
use tch::Device;

use super::input::ModelSource;
use crate::cli::model::Model;
use crate::cli::{Failure, within};

/// Engine that evaluates the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// The network, in libtorch.
    Libtorch,
    /// The package's graph, in ONNX Runtime.
    Onnx,
}

/// A network, ready to be evaluated.
pub(super) struct Evaluator<'a> {
    backend: Backend<'a>,
    /// Engine and device, for reports.
    pub(super) name: String,
}

enum Backend<'a> {
    Libtorch(&'a Network, Device),
    Onnx(Box<Denoiser>),
}

impl ModelSource {
    /// Loads the model in libtorch.
    pub(super) fn model(&self, device: Device) -> Result<Model, Failure> {
        match self {
            Self::Package(path, package) => {
                Model::from_package(package, device).map_err(within(path))
            }
            Self::Checkpoint(checkpoint) => Model::from_checkpoint(checkpoint, device),
        }
    }

    /// Opens an evaluator for its network; a package's graph must pass the golden test first.
    pub(super) fn evaluator<'a>(
        &self,
        model: &'a Model,
        engine: Engine,
        device: Device,
        onnx: &OnnxOptions,
    ) -> Result<Evaluator<'a>, Failure> {
        match (engine, self) {
            (Engine::Libtorch, _) => {
                let name = match device {
                    Device::Cuda(number) => format!("libtorch on cuda:{number}"),
                    _ => "libtorch on cpu".to_owned(),
                };
                Ok(Evaluator { backend: Backend::Libtorch(&model.network, device), name })
            }
            (Engine::Onnx, Self::Checkpoint(_)) => {
                let reason = "--engine onnx is for packages: export the checkpoint first";
                Err(Failure::Refused(reason.into()))
            }
            (Engine::Onnx, Self::Package(path, package)) => {
                let (runtime, device) = onnx.open().map_err(EvaluateError::from)?;
                let in_package = |error| within::<EvaluateError>(path)(EvaluateError::Onnx(error));
                let mut denoiser = Denoiser::open(runtime, &device, package).map_err(in_package)?;
                denoiser.check_golden(package).map_err(in_package)?;
                let name = format!("ONNX Runtime {} on {}", runtime.version(), device.name());
                Ok(Evaluator { backend: Backend::Onnx(Box::new(denoiser)), name })
            }
        }
    }
}

impl Evaluator<'_> {
    /// Maps samples `[B, …sample shape]`, timesteps `[B]` and labels `[B]` to outputs `[B, …]`.
    pub(super) fn evaluate(
        &mut self,
        sample: &[f32],
        timestep: &[f32],
        labels: Option<&[i64]>,
    ) -> Result<Vec<f32>, EvaluateError> {
        match &mut self.backend {
            Backend::Libtorch(network, device) => {
                Ok(forward(network, *device, sample, timestep, labels)?)
            }
            Backend::Onnx(denoiser) => {
                let mut out = Vec::new();
                let batch = Batch { sample, timestep, class_labels: labels.unwrap_or_default() };
                denoiser.evaluate(batch, &mut out)?;
                Ok(out)
            }
        }
    }
}
