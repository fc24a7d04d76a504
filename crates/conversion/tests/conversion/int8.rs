//! The int8 graph in ONNX Runtime against the network.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashMap;

use ddpm_conversion::export::contents::ModelDescription;
use ddpm_conversion::export::cuda::{Precision, cuda};
use ddpm_conversion::export::graph::GraphError;
use ddpm_conversion::export::int8::{LayerSpans, Span, Spans, calibrate, int8};
use ddpm_diffusion::{BetaSchedule, Parameterisation, Prediction, Schedule, Variance};
use ddpm_graph::format::{DataType, GraphProto, ModelProto, NodeProto};
use ddpm_network::sample::default_sampler;
use ddpm_network::{ModelConfig, Network};
use ddpm_package::{DefaultSampler, Manifest, ScheduleSpec};
use prost::Message;
use tch::Tensor;

use crate::runs::{exact_session, inputs, odd_unet, rms, run, session, with_random_weights};
use crate::support::{EVAL, network, reference_network, small_toy, small_unet};

/// Describes a network of noise, to be sampled in a few steps.
fn manifest(network: &Network) -> Manifest {
    let config = network.config();
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let spec = ScheduleSpec::named(BetaSchedule::Linear, 1e-4, 0.02, &schedule);
    let variance = match config.output_shape() == config.sample_shape() {
        true => Variance::FixedLarge,
        false => Variance::Learned,
    };
    let parameterisation = Parameterisation::discrete(schedule, Prediction::Eps, variance);
    let sampler = default_sampler(config.kind(), &parameterisation);
    let classes: Vec<String> =
        (0..config.num_classes().unwrap_or(0)).map(|class| class.to_string()).collect();
    ModelDescription {
        name: "noise",
        version: "1",
        model: config,
        schedule: spec,
        prediction: Prediction::Eps,
        variance,
        classes: &classes,
        default_sampler: DefaultSampler { num_steps: 5, ..sampler },
    }
    .manifest()
}

fn reference_unet() -> Network {
    reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors").0
}

/// Returns the difference of a graph's outputs from the network's, relative to their rms.
fn difference(network: &Network, onnx: &[u8]) -> f64 {
    let _no_grad = tch::no_grad_guard();
    let inputs = inputs(network.config(), 3);
    let expected = network.forward(&EVAL, &inputs);
    let got = run(&mut session(onnx), &inputs);
    assert_eq!(got.size(), expected.size());
    rms(&(&got - &expected)) / rms(&expected)
}

fn graph_of(onnx: &[u8]) -> GraphProto {
    ModelProto::decode(onnx).unwrap().graph.unwrap()
}

fn producer<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g NodeProto> {
    graph.node.iter().find(|node| node.output.iter().any(|output| output == name))
}

#[test]
fn a_calibrated_graph_is_near_the_network_and_has_equal_bits_in_any_batch() {
    let network = reference_unet();
    let onnx = int8(&network, calibrate(&network, &manifest(&network)).unwrap(), &[]).unwrap();

    let error = difference(&network, &onnx);
    assert!((1e-4..0.2).contains(&error), "{error}");

    let _no_grad = tch::no_grad_guard();
    let (mut session, all) = (session(&onnx), inputs(network.config(), 8));
    let together = run(&mut session, &all);
    for row in 0..8 {
        let alone = ddpm_network::Inputs {
            sample: all.sample.narrow(0, row, 1),
            timestep: all.timestep.narrow(0, row, 1),
            class_labels: None,
        };
        let alone = run(&mut session, &alone);
        assert!(alone == together.narrow(0, row, 1), "row {row}");
    }
}

#[test]
fn odd_sizes_classes_and_learned_variances_are_quantised() {
    for by_convolution in [true, false] {
        let network = with_random_weights(&odd_unet(by_convolution));
        let spans = calibrate(&network, &manifest(&network)).unwrap();
        let error = difference(&network, &int8(&network, spans, &[]).unwrap());
        assert!((1e-4..0.3).contains(&error), "{error}");
    }
}

#[test]
fn integers_are_computed_exactly_as_the_file_says() {
    let network = reference_unet();
    let onnx = int8(&network, calibrate(&network, &manifest(&network)).unwrap(), &[]).unwrap();

    let _no_grad = tch::no_grad_guard();
    let inputs = inputs(network.config(), 9);
    let (fused, plain) =
        (run(&mut session(&onnx), &inputs), run(&mut exact_session(&onnx), &inputs));

    // Sums of f32 in another order round to a neighbouring integer in many rows, and all that
    // follows there differs as 8 bits do. Where none is rounded otherwise, all agrees.
    let row = |at| (fused.get(at) - plain.get(at), plain.get(at));
    let mut errors: Vec<f64> =
        (0..9).map(row).map(|(error, plain)| rms(&error) / rms(&plain)).collect();
    errors.sort_by(f64::total_cmp);
    assert!(errors[0] < 1e-5 && errors[8] < 0.2, "{errors:?}");
}

#[test]
fn the_first_and_the_last_convolution_stay_in_f32_and_all_others_are_on_integers() {
    let network = reference_unet();
    let graph =
        graph_of(&int8(&network, calibrate(&network, &manifest(&network)).unwrap(), &[]).unwrap());

    let convolutions: Vec<&NodeProto> =
        graph.node.iter().filter(|node| node.op_type() == "Conv").collect();
    let on_integers = |node: &NodeProto| {
        let read = |name: &String| {
            producer(&graph, name).is_some_and(|node| node.op_type() == "DequantizeLinear")
        };
        node.input.iter().all(read)
    };
    let kinds: Vec<bool> = convolutions.iter().map(|node| on_integers(node)).collect();
    let last = kinds.len() - 1;
    assert!(!kinds[0] && !kinds[last], "{kinds:?}");
    assert!(kinds[1..last].iter().all(|on_integers| *on_integers), "{kinds:?}");
    let kernel = graph.initializer.iter().find(|t| t.name() == "middle.0.conv1.weight.int8");
    assert_eq!(kernel.unwrap().data_type, Some(DataType::Int8.into()));
}

#[test]
fn the_parts_of_a_skip_connection_have_scales_of_their_own() {
    let network = reference_unet();
    let spans = calibrate(&network, &manifest(&network)).unwrap();
    let (name, joined) = spans.iter().find(|(_, spans)| spans.inputs.len() == 2).unwrap();
    assert!(name.ends_with("skip.weight"), "{name}");
    assert_ne!(joined.inputs[0], joined.inputs[1]);

    // A range of a hundred times what is needed costs its own part bits, and so shows.
    let with = |spans: Spans| difference(&network, &int8(&network, spans, &[]).unwrap());
    let fine = with(spans.clone());
    let scaled = |which: fn(usize) -> bool| -> Spans {
        let change = |spans: &LayerSpans| {
            let mut spans = spans.clone();
            for (part, span) in spans.inputs.iter_mut().enumerate() {
                if which(part) {
                    *span = Span { low: 100.0 * span.low, high: 100.0 * span.high };
                }
            }
            spans
        };
        let joined = |spans: &LayerSpans| spans.inputs.len() == 2;
        spans
            .iter()
            .map(|(name, spans)| {
                (name.clone(), if joined(spans) { change(spans) } else { spans.clone() })
            })
            .collect::<HashMap<_, _>>()
    };
    let one = with(scaled(|part| part == 0));
    let both = with(scaled(|_| true));
    assert!(fine < one && one < both, "{fine} {one} {both}");
}

#[test]
fn wrong_ranges_show_in_the_outputs() {
    let network = reference_unet();
    let spans = calibrate(&network, &manifest(&network)).unwrap();
    let fine = difference(&network, &int8(&network, spans.clone(), &[]).unwrap());

    for factor in [0.2, 20.0] {
        let scale = |span: &Span| Span { low: factor * span.low, high: factor * span.high };
        let wrong = spans
            .iter()
            .map(|(name, spans)| {
                let inputs = spans.inputs.iter().map(scale).collect();
                (name.clone(), LayerSpans { inputs, output: scale(&spans.output) })
            })
            .collect();
        let error = difference(&network, &int8(&network, wrong, &[]).unwrap());
        assert!(error > 2.0 * fine, "{factor}: {error} {fine}");
    }
}

#[test]
fn ranges_are_those_of_the_model_at_work() {
    let network = reference_unet();
    let spans = calibrate(&network, &manifest(&network)).unwrap();

    for (name, LayerSpans { inputs, output }) in &spans {
        for Span { low, high } in inputs.iter().chain([output]) {
            assert!(*low <= 0.0 && *high >= 0.0 && high > low, "{name}: {low} {high}");
        }
    }
    // What SiLU returns is never below −0.28.
    let after_silu = &spans["middle.0.conv2.weight"].inputs[0];
    assert!(after_silu.low >= -0.2785, "{after_silu:?}");
    let again = calibrate(&network, &manifest(&network)).unwrap();
    assert_eq!(spans, again, "the same every time");
}

#[test]
fn networks_of_points_are_refused_in_one_sentence() {
    let error = int8(&network(&ModelConfig::Toy(small_toy())), Spans::new(), &[]).unwrap_err();

    assert!(matches!(error, GraphError::NoConvolutions), "{error}");
}

#[test]
fn a_channel_of_zeros_keeps_its_bias() {
    let network = reference_unet();
    tch::no_grad(|| {
        let set = |name: &str, value: f64| {
            let parameters = network.parameters();
            let (_, tensor) = parameters.iter().find(|(n, _)| n == name).unwrap();
            let _: Tensor = tensor.get(0).fill_(value);
        };
        set("upsamples.level_1.1.0.conv2.weight", 0.0);
        set("upsamples.level_1.1.0.conv2.bias", 30.0);
    });
    let spans = calibrate(&network, &manifest(&network)).unwrap();

    let error = difference(&network, &int8(&network, spans, &[]).unwrap());

    assert!(error < 0.1, "{error}");
}

#[test]
fn writing_a_graph_changes_no_weight() {
    let network = reference_unet();
    let before: Vec<Tensor> = network.parameters().iter().map(|(_, value)| value.copy()).collect();
    let spans = calibrate(&network, &manifest(&network)).unwrap();

    int8(&network, spans, &[]).unwrap();
    cuda(&network, Precision::Half, &[]).map(drop).unwrap();

    for ((name, value), before) in network.parameters().iter().zip(&before) {
        assert!(value == before, "{name}");
    }
}
