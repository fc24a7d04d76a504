//! A model, and what evaluates its network: libtorch, or ONNX Runtime.

use ddpm_onnx::{Batch, Denoiser};
use tch::Device;

use super::Failure;
use super::operand::ModelSource;
use crate::cli::model::Model;
use crate::evaluate::EvaluateError;
use crate::evaluate::extractor::OnnxOptions;
use crate::model::Network;
use crate::sample::forward;

/// What evaluates the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// The network in libtorch.
    Libtorch,
    /// The package's graph in ONNX Runtime.
    Onnx,
}

/// A network that can be evaluated.
pub(super) struct Evaluator<'a> {
    body: Body<'a>,
    /// The engine with its device, for reports.
    pub(super) name: String,
}

enum Body<'a> {
    Libtorch(&'a Network, Device),
    Onnx(Box<Denoiser>),
}

impl ModelSource {
    /// The model, in libtorch.
    pub(super) fn model(&self, device: Device) -> Result<Model, Failure> {
        match self {
            Self::Package(_, package) => Model::of_package(package, device),
            Self::Checkpoint(checkpoint) => Model::of_checkpoint(checkpoint, device),
        }
    }

    /// What evaluates its network; a package's graph has to pass the golden test first.
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
                Ok(Evaluator { body: Body::Libtorch(&model.network, device), name })
            }
            (Engine::Onnx, Self::Checkpoint(_)) => {
                let reason = "--engine onnx is for packages: export the checkpoint first";
                Err(Failure::Refused(reason.into()))
            }
            (Engine::Onnx, Self::Package(_, package)) => {
                let (runtime, device) = onnx.open().map_err(EvaluateError::from)?;
                let mut denoiser =
                    Denoiser::open(runtime, &device, package).map_err(EvaluateError::from)?;
                denoiser.check_golden(package).map_err(EvaluateError::from)?;
                let name = format!("ONNX Runtime {} on {}", runtime.version(), device.name());
                Ok(Evaluator { body: Body::Onnx(Box::new(denoiser)), name })
            }
        }
    }
}

impl Evaluator<'_> {
    /// `[B, …sample shape]`, timesteps `[B]` and labels `[B]` to outputs `[B, …]`.
    pub(super) fn evaluate(
        &mut self,
        sample: &[f32],
        timestep: &[f32],
        labels: Option<&[i64]>,
    ) -> Result<Vec<f32>, EvaluateError> {
        match &mut self.body {
            Body::Libtorch(network, device) => {
                Ok(forward(network, *device, sample, timestep, labels)?)
            }
            Body::Onnx(denoiser) => {
                let mut out = Vec::new();
                let batch = Batch { sample, timestep, class_labels: labels.unwrap_or_default() };
                denoiser.evaluate(batch, &mut out)?;
                Ok(out)
            }
        }
    }
}
