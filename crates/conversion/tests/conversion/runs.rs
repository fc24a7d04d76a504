//! Graphs in ONNX Runtime, and networks to run in them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::OnceLock;

use ddpm_network::{Inputs, ModelConfig, Network, UnetConfig};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor as OrtTensor;
use tch::{Device, Kind, Tensor};

use crate::support::{network, small_unet};

/// The process has one ONNX Runtime environment, which must outlive its sessions.
fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let library = std::env::var("ORT_DYLIB_PATH").expect("set in .cargo/config.toml");
        ort::init_from(library).unwrap().build().unwrap()
    })
}

/// Loads a graph.
pub(crate) fn session(onnx: &[u8]) -> Session {
    try_session(onnx).unwrap()
}

/// Loads a graph, or says why not.
pub(crate) fn try_session(onnx: &[u8]) -> ort::Result<Session> {
    Session::builder(environment()).unwrap().commit_from_memory(onnx)
}

/// Loads a graph as it is written: optimisations would remove roundings.
pub(crate) fn exact_session(onnx: &[u8]) -> Session {
    let builder = Session::builder(environment()).unwrap();
    let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Disable).unwrap();
    builder.commit_from_memory(onnx).unwrap()
}

fn floats(tensor: &Tensor) -> SessionInputValue<'static> {
    let values: Vec<f32> = Vec::try_from(tensor.flatten(0, -1)).unwrap();
    OrtTensor::from_array((tensor.size(), values)).unwrap().into()
}

fn integers(tensor: &Tensor) -> SessionInputValue<'static> {
    let values: Vec<i64> = Vec::try_from(tensor.flatten(0, -1)).unwrap();
    OrtTensor::from_array((tensor.size(), values)).unwrap().into()
}

pub(crate) fn run(session: &mut Session, inputs: &Inputs<Tensor>) -> Tensor {
    let mut feeds =
        vec![("sample", floats(&inputs.sample)), ("timestep", floats(&inputs.timestep))];
    feeds.extend(inputs.class_labels.as_ref().map(|labels| ("class_labels", integers(labels))));
    let outputs = session.run(feeds).unwrap();
    let (shape, values) = outputs["out_sample"].try_extract_tensor::<f32>().unwrap();
    Tensor::from_slice(values).reshape(&**shape)
}

/// Normal samples, timesteps between the trained ones, and every label in turn, "none" included.
pub(crate) fn inputs(config: &ModelConfig, batch: i64) -> Inputs<Tensor> {
    tch::manual_seed(batch);
    let shape: Vec<i64> = [batch].into_iter().chain(config.sample_shape()).collect();
    let ramp = Tensor::arange(batch, (Kind::Float, Device::Cpu));
    Inputs {
        sample: Tensor::randn(shape, (Kind::Float, Device::Cpu)),
        timestep: ramp * 330.25 + 17.5,
        class_labels: config.num_classes().map(|num_classes| {
            Tensor::arange(batch, (Kind::Int64, Device::Cpu)).remainder(num_classes + 1)
        }),
    }
}

pub(crate) fn rms(tensor: &Tensor) -> f64 {
    tensor.square().mean(Kind::Double).sqrt().double_value(&[])
}

/// Normal weights, far from the initial ones: nothing is zero, so every operation shows.
pub(crate) fn with_random_weights(config: &ModelConfig) -> Network {
    let network = network(config);
    tch::manual_seed(0);
    tch::no_grad(|| {
        for (_, mut parameter) in network.parameters() {
            let _ = parameter.normal_(0.0, 0.2);
        }
    });
    network
}

/// Conditional, and with an image that halves unevenly twice.
pub(crate) fn odd_unet(resample_with_conv: bool) -> ModelConfig {
    ModelConfig::Unet(UnetConfig {
        image_size: [17, 13],
        out_channels: 6,
        hid_channels: 9,
        ch_multipliers: vec![1, 2, 2],
        apply_attn: vec![false, true, false],
        resample_with_conv,
        num_groups: 3,
        num_classes: Some(2),
        ..small_unet()
    })
}
