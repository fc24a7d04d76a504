//! The ONNX graph against the network it was traced from, run in ONNX Runtime.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashSet;

use ddpm_conversion::export::graph::{GraphError, portable};
use ddpm_graph::format::{GraphProto, ModelProto};
use ddpm_network::{ModelConfig, Network, ToyConfig};
use prost::Message;

use crate::runs::{inputs, odd_unet, rms, run, session, with_random_weights};
use crate::support::{EVAL, network, reference_network, small_toy, small_unet};

fn assert_parity(network: &Network) {
    let _no_grad = tch::no_grad_guard();
    let mut session = session(&portable(network, &[]).unwrap());
    for batch in [1, 3] {
        let inputs = inputs(network.config(), batch);

        let (expected, got) = (network.forward(&EVAL, &inputs), run(&mut session, &inputs));

        assert_eq!(got.size(), expected.size());
        assert!(rms(&expected) > 1e-2, "an output of almost nothing would prove nothing");
        let error = rms(&(&got - &expected)) / rms(&expected);
        assert!(error < 1e-5, "batch {batch}: {error:e} of the output's rms");
    }
}

fn reference_unet() -> Network {
    reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors").0
}

fn decode(network: &Network) -> (ModelProto, GraphProto) {
    let mut model = ModelProto::decode(portable(network, &[]).unwrap().as_slice()).unwrap();
    let graph = model.graph.take().unwrap();
    (model, graph)
}

#[test]
fn the_graph_of_the_reference_unet_computes_what_the_network_computes() {
    assert_parity(&reference_unet());
}

#[test]
fn the_graph_of_an_odd_sized_conditional_unet_computes_what_the_network_computes() {
    assert_parity(&with_random_weights(&odd_unet(true)));
}

#[test]
fn the_graph_of_a_unet_that_resamples_by_pooling_computes_what_the_network_computes() {
    assert_parity(&with_random_weights(&odd_unet(false)));
}

#[test]
fn the_graph_of_the_toy_computes_what_the_network_computes() {
    let (toy, _) = reference_network(&ModelConfig::Toy(small_toy()), "toy.safetensors");
    assert_parity(&toy);

    let conditional = ToyConfig { num_classes: Some(2), ..small_toy() };
    assert_parity(&with_random_weights(&ModelConfig::Toy(conditional)));
}

#[test]
fn the_interface_is_named_typed_and_free_in_the_batch_size_only() {
    let session = session(&portable(&network(&odd_unet(true)), &[]).unwrap());
    let describe = |outlets: &[ort::value::Outlet]| -> Vec<(String, String, Vec<i64>)> {
        let describe = |outlet: &ort::value::Outlet| {
            let dtype = outlet.dtype();
            let shape = dtype.tensor_shape().unwrap().to_vec();
            (outlet.name().to_owned(), dtype.tensor_type().unwrap().to_string(), shape)
        };
        outlets.iter().map(describe).collect()
    };

    assert_eq!(
        describe(session.inputs()),
        [
            ("sample".to_owned(), "f32".to_owned(), vec![-1, 3, 17, 13]),
            ("timestep".to_owned(), "f32".to_owned(), vec![-1]),
            ("class_labels".to_owned(), "i64".to_owned(), vec![-1]),
        ]
    );
    assert_eq!(
        describe(session.outputs()),
        [("out_sample".to_owned(), "f32".to_owned(), vec![-1, 6, 17, 13])]
    );
}

#[test]
fn every_parameter_is_in_the_graph_once_under_its_own_name() {
    let toy = network(&ModelConfig::Toy(small_toy()));

    let (_, graph) = decode(&toy);

    let mut names: Vec<&str> =
        graph.initializer.iter().filter_map(|tensor| tensor.name.as_deref()).collect();
    names.retain(|name| !name.starts_with("const_"));
    assert_eq!(names.len(), toy.parameters().len());
    let names: HashSet<&str> = names.into_iter().collect();
    assert!(toy.parameters().iter().all(|(name, _)| names.contains(name.as_str())));
}

#[test]
fn equal_constants_are_written_once() {
    let (_, graph) = decode(&reference_unet());

    let constants: Vec<_> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.name.as_deref().is_some_and(|name| name.starts_with("const_")))
        .map(|tensor| (tensor.data_type, &tensor.dims, &tensor.raw_data))
        .collect();
    let distinct: HashSet<_> = constants.iter().collect();
    assert_eq!(distinct.len(), constants.len());
}

#[test]
fn the_portable_graph_needs_only_opset_21_and_has_no_dropout() {
    let (model, graph) = decode(&reference_unet());

    assert_eq!(model.producer_name.as_deref(), Some("ddpm-exporter"));
    assert_eq!(model.opset_import.len(), 1);
    assert_eq!(model.opset_import[0].version, Some(21));
    let operators: HashSet<_> =
        graph.node.iter().filter_map(|node| node.op_type.as_deref()).collect();
    assert!(operators.contains("InstanceNormalization"));
    assert!(!operators.contains("Dropout"));
}

#[test]
fn metadata_is_in_the_file() {
    let toy = network(&ModelConfig::Toy(small_toy()));

    let bytes = portable(&toy, &[("license", "MIT".to_owned())]).unwrap();

    let entry = &ModelProto::decode(bytes.as_slice()).unwrap().metadata_props[0];
    assert_eq!((entry.key.as_deref(), entry.value.as_deref()), (Some("license"), Some("MIT")));
}

#[test]
fn a_parameter_that_is_not_finite_is_refused_by_name() {
    let toy = network(&ModelConfig::Toy(small_toy()));
    tch::no_grad(|| {
        let (_, bias) = &toy.parameters()[toy.parameters().len() - 1];
        let _ = bias.get(0).fill_(f64::NAN);
    });

    let error = portable(&toy, &[]).unwrap_err();

    assert!(
        matches!(&error, GraphError::NotFinite { name, count: 1 } if name == "t_proj.0.bias"),
        "{error}"
    );
}
