//! The graph for CUDA, lowered to the CPU, against the network and against itself when broken.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use ddpm_conversion::export::cuda::{Precision, cuda};
use ddpm_conversion::export::graph::{GraphError, portable};
use ddpm_conversion::export::lower::{LowerError, Rounding, lower};
use ddpm_graph::format::{
    DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use ddpm_network::{
    DiffusersUnetConfig, DownBlockType, Inputs, ModelConfig, Network, Resampling, TimeScaleShift,
    UnetConfig, UpBlockType,
};
use half::f16;
use prost::Message;
use tch::{Device, Kind, Tensor};

use crate::runs::{exact_session, odd_unet, rms, run, try_session, with_random_weights};
use crate::support::{EVAL, network, reference_network, small_toy, small_unet};

/// The share of the output's rms that rounding to f16 may add.
const HALF_TOLERANCE: f64 = 1e-2;

/// Rows of normal samples at 20 timesteps, and every label in turn.
fn twenty_timesteps(config: &ModelConfig) -> Inputs<Tensor> {
    const ROWS: i64 = 20;
    tch::manual_seed(3);
    let shape: Vec<i64> = [ROWS].into_iter().chain(config.sample_shape()).collect();
    Inputs {
        sample: Tensor::randn(shape, (Kind::Float, Device::Cpu)),
        timestep: Tensor::linspace(0.0, 999.0, ROWS, (Kind::Float, Device::Cpu)),
        class_labels: config
            .num_classes()
            .map(|k| Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(k + 1)),
    }
}

/// Returns the difference between a lowered graph and the network, relative to the output's rms.
fn difference(network: &Network, onnx: &[u8], rounding: Rounding) -> f64 {
    let _no_grad = tch::no_grad_guard();
    let inputs = twenty_timesteps(network.config());
    let expected = network.forward(&EVAL, &inputs);
    assert!(rms(&expected) > 1e-2, "an output of almost nothing would prove nothing");
    let got = run(&mut exact_session(&lower(onnx, rounding).unwrap()), &inputs);
    assert_eq!(got.size(), expected.size());
    rms(&(&got - &expected)) / rms(&expected)
}

/// Checks a network's graph with and without rounding, and returns what is spelled plainly.
fn assert_parity(name: &str, network: &Network) -> Vec<(&'static str, usize)> {
    let full = cuda(network, Precision::Full, &[]).unwrap();
    let error = difference(network, &full.bytes, Rounding::None);
    assert!(error < 1e-5, "{name}: {error:e} of the output's rms in f32");
    let half = cuda(network, Precision::Half, &[]).unwrap();
    let error = difference(network, &half.bytes, Rounding::Half);
    assert!(error < HALF_TOLERANCE, "{name}: {error:e} of the output's rms in f16");
    assert!(error > 1e-6, "{name}: nothing was rounded");
    half.plain
}

fn reference_unet() -> Network {
    reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors").0
}

/// Two levels, the lower with attention.
fn diffusers() -> DiffusersUnetConfig {
    DiffusersUnetConfig {
        sample_size: [16, 12],
        in_channels: 3,
        out_channels: 3,
        center_input_sample: false,
        time_embedding_dim: None,
        freq_shift: 0.0,
        flip_sin_to_cos: true,
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
        up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
        mid_block: true,
        add_attention: true,
        block_out_channels: vec![16, 32],
        layers_per_block: 1,
        downsample_padding: 1,
        downsample_type: Resampling::Conv,
        upsample_type: Resampling::Conv,
        dropout: 0.0,
        attention_head_dim: Some(8),
        norm_num_groups: 8,
        attn_norm_num_groups: None,
        norm_eps: 1e-5,
        resnet_time_scale_shift: TimeScaleShift::Default,
        num_classes: None,
    }
}

fn random_diffusers(config: DiffusersUnetConfig) -> Network {
    with_random_weights(&ModelConfig::Diffusers(config))
}

#[test]
fn the_reference_unet_is_computed_and_what_cannot_be_fused_is_listed() {
    let plain = assert_parity("reference", &reference_unet());

    // 32 channels in 32 groups: one channel per group, which the fused norm cannot take.
    let kinds: Vec<_> = plain.iter().map(|(what, _)| *what).collect();
    assert_eq!(kinds, ["add per channel", "group norm", "uneven padding"]);
}

#[test]
fn odd_sizes_and_both_ways_of_resampling_are_computed() {
    assert_parity("odd, by convolution", &with_random_weights(&odd_unet(true)));
    let plain = assert_parity("odd, by pooling", &with_random_weights(&odd_unet(false)));
    assert!(plain.iter().any(|(what, _)| *what == "average pool"));
}

#[test]
fn pixels_moved_into_channels_cost_no_transpose_of_their_own() {
    let unet = ModelConfig::Unet(UnetConfig { block_size: 2, num_groups: 8, ..small_unet() });
    let network = with_random_weights(&unet);

    assert_parity("blocks of pixels", &network);

    assert_eq!(count(&graph_of(&network), "Transpose"), 2);
}

#[test]
fn attention_without_a_norm_and_a_learned_variance_are_computed() {
    let unet = UnetConfig { attn_norm: false, out_channels: 6, num_groups: 8, ..small_unet() };
    let network = with_random_weights(&ModelConfig::Unet(unet));
    // Without a norm, random queries and keys would be so large that one pixel gets all weight, and
    // which one depends on the last bits.
    for (_, mut weight) in
        network.parameters().into_iter().filter(|(name, _)| name.ends_with("project_in.weight"))
    {
        let _scaled = tch::no_grad(|| weight.g_mul_scalar_(0.1));
    }
    assert_parity("no norm, learned variance", &network);
}

#[test]
fn networks_of_diffusers_are_computed() {
    assert_parity("four heads", &random_diffusers(diffusers()));
    let centred = DiffusersUnetConfig {
        center_input_sample: true,
        num_classes: Some(3),
        downsample_padding: 0,
        ..diffusers()
    };
    assert_parity("centred input, classes", &random_diffusers(centred));
    let resnets = DiffusersUnetConfig {
        downsample_type: Resampling::Resnet,
        upsample_type: Resampling::Resnet,
        down_block_types: vec![DownBlockType::AttnDownBlock2D; 2],
        up_block_types: vec![UpBlockType::AttnUpBlock2D; 2],
        ..diffusers()
    };
    assert_parity("resampling blocks", &random_diffusers(resnets));
    let scaled = DiffusersUnetConfig {
        resnet_time_scale_shift: TimeScaleShift::ScaleShift,
        attention_head_dim: None,
        ..diffusers()
    };
    let plain = assert_parity("scale and shift", &random_diffusers(scaled));
    assert!(plain.iter().any(|(what, _)| *what == "scale and shift per channel"));
    let no_attention =
        DiffusersUnetConfig { add_attention: false, mid_block: false, ..diffusers() };
    assert_parity("no middle", &random_diffusers(no_attention));
}

#[test]
fn networks_of_points_are_refused_in_one_sentence() {
    let toy = network(&ModelConfig::Toy(small_toy()));
    let error = cuda(&toy, Precision::Half, &[]).map(drop).unwrap_err();

    assert!(matches!(error, GraphError::NoPictures), "{error}");
}

#[test]
fn a_weight_beyond_f16_is_refused_by_name() {
    let unet = reference_unet();
    let mut parameters = unet.parameters().into_iter();
    let (name, weight) = parameters.find(|(name, _)| name == "in_conv.weight").unwrap();
    let _filled = tch::no_grad(|| weight.flatten(0, -1).get(0).fill_(-7e4));

    let text = cuda(&unet, Precision::Half, &[]).map(drop).unwrap_err().to_string();

    assert!(text.contains(&name) && text.contains("7e4"), "{text}");
    assert!(cuda(&unet, Precision::Full, &[]).is_ok());
}

fn decode(onnx: &[u8]) -> ModelProto {
    ModelProto::decode(onnx).unwrap()
}

fn graph_of(network: &Network) -> GraphProto {
    decode(&cuda(network, Precision::Half, &[]).unwrap().bytes).graph.unwrap()
}

fn count(graph: &GraphProto, op_type: &str) -> usize {
    graph.node.iter().filter(|node| node.op_type() == op_type).count()
}

#[test]
fn every_result_is_described() {
    let unet = ModelConfig::Unet(UnetConfig { num_groups: 8, ..small_unet() });
    let graph = graph_of(&with_random_weights(&unet));

    let described: Vec<&str> = graph.value_info.iter().map(ValueInfoProto::name).collect();
    for output in graph.node.iter().flat_map(|node| &node.output) {
        assert!(described.contains(&output.as_str()) || output == "out_sample", "{output}");
    }
}

#[test]
fn the_time_embedding_and_the_last_convolution_stay_in_f32() {
    let graph = graph_of(&with_random_weights(&odd_unet(true)));

    let type_of = |name: &str| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
        DataType::try_from(tensor.data_type.unwrap()).unwrap()
    };
    for name in ["embed.0.weight", "embed.2.weight", "out_conv.2.weight", "out_conv.0.weight"] {
        assert_eq!(type_of(name), DataType::Float, "{name}");
    }
    for name in ["in_conv.weight", "middle.0.conv1.weight", "middle.0.fc.weight"] {
        assert_eq!(type_of(name), DataType::Float16, "{name}");
    }
}

#[test]
fn onnx_runtime_knows_every_operator_and_attribute_and_lacks_only_kernels() {
    let unet = ModelConfig::Unet(UnetConfig { num_groups: 8, ..small_unet() });
    let onnx = cuda(&with_random_weights(&unet), Precision::Half, &[]).unwrap().bytes;

    // Schemas are checked before kernels are looked for.
    let error = try_session(&onnx).unwrap_err().to_string();
    assert!(error.contains("Could not find an implementation for"), "{error}");

    let mut model = decode(&onnx);
    let nodes = &mut model.graph.as_mut().unwrap().node;
    let norm = nodes.iter_mut().find(|node| node.op_type() == "GroupNorm").unwrap();
    norm.attribute.retain(|attribute| attribute.name() != "groups");
    let error = try_session(&model.encode_to_vec()).unwrap_err().to_string();
    assert!(error.contains("groups"), "{error}");
}

/// A network in which everything fuses.
fn fusing() -> Network {
    with_random_weights(&ModelConfig::Unet(UnetConfig { num_groups: 8, ..small_unet() }))
}

/// Returns the difference that a fault in the graph makes.
fn with_fault(network: &Network, fault: impl FnOnce(&mut GraphProto)) -> f64 {
    let mut model = decode(&cuda(network, Precision::Full, &[]).unwrap().bytes);
    fault(model.graph.as_mut().unwrap());
    difference(network, &model.encode_to_vec(), Rounding::None)
}

fn first<'g>(graph: &'g mut GraphProto, op_type: &str) -> &'g mut NodeProto {
    graph.node.iter_mut().find(|node| node.op_type() == op_type).unwrap()
}

fn weight_of<'g>(graph: &'g mut GraphProto, op_type: &str, input: usize) -> &'g mut TensorProto {
    let name = first(graph, op_type).input[input].clone();
    graph.initializer.iter_mut().find(|tensor| tensor.name() == name).unwrap()
}

fn change(tensor: &mut TensorProto, change: impl FnOnce(Tensor) -> Tensor) {
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.raw_data());
    let dims = tensor.dims.clone();
    let changed = change(Tensor::from_slice(&values).reshape(&dims[..])).contiguous();
    let values: Vec<f32> = Vec::try_from(changed.flatten(0, -1)).unwrap();
    tensor.raw_data = Some(bytemuck::cast_slice(&values).to_vec());
}

fn set_int(node: &mut NodeProto, name: &str, value: i64) {
    node.attribute.iter_mut().find(|attribute| attribute.name() == name).unwrap().i = Some(value);
}

/// Something wrong with a graph.
type Fault = Box<dyn FnOnce(&mut GraphProto)>;

#[test]
fn the_lowered_graph_shows_every_kind_of_fault() {
    let network = fusing();
    let faults: Vec<(&str, Fault)> = vec![
        ("no fault", Box::new(|_| {})),
        (
            "a wrong scale",
            Box::new(|graph| change(weight_of(graph, "SkipGroupNorm", 1), |x| x * 1.01)),
        ),
        (
            "a kernel with height and width swapped",
            Box::new(|graph| change(weight_of(graph, "NhwcConv", 1), |x| x.transpose(1, 2))),
        ),
        ("a missing bias", Box::new(|graph| change(weight_of(graph, "NhwcConv", 2), |x| x * 0.0))),
        (
            "a norm over other groups",
            Box::new(|graph| set_int(first(graph, "GroupNorm"), "groups", 4)),
        ),
        (
            "a norm without its activation",
            Box::new(|graph| set_int(first(graph, "SkipGroupNorm"), "activation", 0)),
        ),
        (
            "two skip connections exchanged",
            Box::new(|graph| {
                let concat = graph
                    .node
                    .iter_mut()
                    .find(|node| node.op_type() == "Concat" && node.attribute[0].i() == 3);
                concat.unwrap().input.swap(0, 1);
            }),
        ),
    ];
    let mut found = BTreeMap::new();
    for (name, fault) in faults {
        found.insert(name, with_fault(&network, fault));
    }
    let fine = found.remove("no fault").unwrap();
    assert!(fine < 1e-5, "{fine:e}");
    for (name, error) in found {
        assert!(error > 1e-4, "{name} went unnoticed: {error:e}");
    }
}

#[test]
fn heads_in_the_wrong_order_are_noticed() {
    let network = random_diffusers(diffusers());
    let fault = with_fault(&network, |graph| {
        let name = first(graph, "MultiHeadAttention").input[0].clone();
        let reshape = graph.node.iter().find(|node| node.output[0] == name).unwrap();
        let conv = reshape.input[0].clone();
        let conv = graph.node.iter().find(|node| node.output[0] == conv).unwrap();
        let weight = conv.input[1].clone();
        let weight = graph.initializer.iter_mut().find(|tensor| tensor.name() == weight).unwrap();
        // From heads of [q, k, v] back to [q, k, v] of heads.
        change(weight, |x| {
            let size = x.size();
            x.reshape([size[0] / 24, 3, 8, size[3]]).transpose(0, 1).reshape(&size[..])
        });
    });
    assert!(fault > 1e-4, "{fault:e}");
}

#[test]
fn an_unknown_operator_and_a_missing_attribute_are_named() {
    let onnx = cuda(&fusing(), Precision::Half, &[]).unwrap().bytes;
    let lowered = |change: &dyn Fn(&mut GraphProto)| {
        let mut model = decode(&onnx);
        change(model.graph.as_mut().unwrap());
        lower(&model.encode_to_vec(), Rounding::None)
    };

    let unknown = lowered(&|graph| first(graph, "NhwcConv").op_type = Some("FusedConv".into()));
    assert!(matches!(unknown, Err(LowerError::Unknown(name)) if name == "FusedConv"));
    let missing = lowered(&|graph| first(graph, "MultiHeadAttention").attribute.clear());
    assert!(matches!(missing, Err(LowerError::Missing { what, .. }) if what == "num_heads"));
    assert!(matches!(lower(b"\xff", Rounding::None), Err(LowerError::Decode(_))));
}

#[test]
fn the_graph_takes_half_the_bytes_of_the_portable_one() {
    let network = network(&ModelConfig::Unet(UnetConfig::cifar10()));

    let (half, full) = (cuda(&network, Precision::Half, &[]), portable(&network, &[]));

    let share = half.unwrap().bytes.len() as f64 / full.unwrap().len() as f64;
    assert!((0.5..0.52).contains(&share), "{share}");
}

#[test]
fn parameters_are_rounded_to_the_nearest_f16() {
    let network = fusing();
    let graph = graph_of(&network);

    let (name, value) =
        network.parameters().into_iter().find(|(n, _)| n == "in_conv.bias").unwrap();
    let exact: Vec<f32> = Vec::try_from(value).unwrap();
    let stored = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    let halves: Vec<f16> = bytemuck::pod_collect_to_vec::<u8, u16>(stored.raw_data())
        .into_iter()
        .map(f16::from_bits)
        .collect();
    assert_eq!(halves, exact.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>());
}
