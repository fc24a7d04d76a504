//! The networks against the reference's vectors: outputs, gradients, names and shapes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashMap;

use ddpm_network::{
    ConfigError, Eager, Inputs, ModelConfig, Network, StateError, ToyConfig, UnetConfig,
    timestep_embedding,
};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::support::{EVAL, fixture, network, reference_network, reference_state};

/// The reference's x and t as inputs.
fn reference_inputs(reference: &HashMap<String, Tensor>) -> Inputs<Tensor> {
    Inputs {
        sample: reference["x"].shallow_clone(),
        timestep: reference["t"].to_kind(Kind::Float),
        class_labels: None,
    }
}

/// Largest |a - b| - rtol |b|, to be compared with an absolute tolerance.
fn excess(a: &Tensor, b: &Tensor, rtol: f64) -> f64 {
    assert_eq!(a.size(), b.size());
    ((a - b).abs() - b.abs() * rtol).max().double_value(&[])
}

fn assert_reference_output(config: &ModelConfig, file: &str) {
    let (network, reference) = reference_network(config, file);

    let output = network.forward(&EVAL, &reference_inputs(&reference));

    assert!(excess(&output, &reference["output"], 0.0) < 2e-5);
}

/// The reference's loss is mean(output²); its gradients are `grad.*`.
fn assert_reference_gradients(config: &ModelConfig, file: &str) {
    let (network, reference) = reference_network(config, file);
    let parameters: HashMap<String, Tensor> = network.parameters().into_iter().collect();

    let output = network.forward(&EVAL, &reference_inputs(&reference));
    let loss = output.square().mean(Kind::Float);
    loss.backward();

    assert!(excess(&loss.reshape([1]), &reference["loss"], 1e-5) <= 0.0);
    let mut compared = 0;
    for (name, expected) in &reference {
        let Some(name) = name.strip_prefix("grad.") else { continue };
        let difference = excess(&parameters[name].grad(), expected, 1e-3);
        assert!(difference < 1e-6, "gradient of {name}: off by {difference:e}");
        compared += 1;
    }
    assert!(compared > 10);
}

fn small_unet() -> ModelConfig {
    ModelConfig::Unet(crate::support::small_unet())
}

fn small_toy() -> ModelConfig {
    ModelConfig::Toy(crate::support::small_toy())
}

#[test]
fn the_unet_has_the_output_of_the_reference() {
    assert_reference_output(&small_unet(), "unet_small.safetensors");
}

#[test]
fn the_unet_has_the_loss_and_the_gradients_of_the_reference() {
    assert_reference_gradients(&small_unet(), "unet_small.safetensors");
}

#[test]
fn the_toy_has_the_output_of_the_reference() {
    assert_reference_output(&small_toy(), "toy.safetensors");
}

#[test]
fn the_toy_has_the_loss_and_the_gradients_of_the_reference() {
    assert_reference_gradients(&small_toy(), "toy.safetensors");
}

#[test]
fn the_timestep_embedding_is_that_of_the_reference_for_both_networks() {
    for file in ["unet_small.safetensors", "toy.safetensors"] {
        let reference = crate::support::reference(file);
        let timestep = reference["t"].to_kind(Kind::Float);

        let got = timestep_embedding(&EVAL, &timestep, 32);

        assert!(excess(&got, &reference["sinusoidal"], 0.0) < 2e-5, "{file}");
    }
}

#[test]
fn an_odd_timestep_embedding_ends_in_a_column_of_zeros() {
    let timestep = Tensor::from_slice(&[0.5f32, 999.0]);

    let odd = timestep_embedding(&EVAL, &timestep, 9);

    assert_eq!(odd.narrow(1, 0, 8), timestep_embedding(&EVAL, &timestep, 8));
    assert_eq!(odd.select(1, 8), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
}

/// Names and shapes, as the reference's files list them.
fn listed(value: &Value) -> Vec<(String, Vec<i64>)> {
    serde_json::from_value(value.clone()).unwrap()
}

fn names_and_shapes(network: &Network) -> Vec<(String, Vec<i64>)> {
    network.parameters().into_iter().map(|(name, value)| (name, value.size())).collect()
}

fn num_params(network: &Network) -> usize {
    network.parameters().iter().map(|(_, value)| value.numel()).sum()
}

fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// A published network: the reference's configuration, at an image size.
fn published(shapes: &Value, name: &str, image_size: i64) -> ModelConfig {
    let mut config = shapes[name]["config"].clone();
    config["kind"] = "unet".into();
    config["image_size"] = [image_size, image_size].into();
    serde_json::from_value(config).unwrap()
}

#[test]
fn published_unets_have_the_names_shapes_and_counts_of_the_reference_in_its_order() {
    let shapes = read_json("unet_cifar10_shapes.json");
    for (name, image_size) in [("cifar10", 32), ("celeba", 64), ("celebahq", 256)] {
        let network = network(&published(&shapes, name, image_size));

        assert_eq!(names_and_shapes(&network), listed(&shapes[name]["state_dict"]), "{name}");
        assert_eq!(num_params(&network) as u64, shapes[name]["num_params"].as_u64().unwrap());
    }
}

#[test]
fn the_toy_has_the_names_shapes_and_count_of_the_reference_in_its_order() {
    let toy = read_json("toy.json");
    let unique: Vec<String> =
        serde_json::from_value(toy["unique_parameter_names"].clone()).unwrap();
    let expected: Vec<_> = listed(&toy["default_state_dict"])
        .into_iter()
        .filter(|(name, _)| unique.contains(name))
        .collect();

    let network = network(&ModelConfig::Toy(ToyConfig::default()));

    assert_eq!(names_and_shapes(&network), expected);
    assert_eq!(num_params(&network) as u64, toy["default_num_params_unique"].as_u64().unwrap());
}

#[test]
fn a_repeated_temporal_layer_must_repeat_the_same_values() {
    let (network, reference) =
        (network(&small_toy()), crate::support::reference("toy.safetensors"));
    let mut state = reference_state(&reference);
    let repeat = state.iter_mut().find(|(name, _)| name == "temp_fc.2.fc1.weight").unwrap();
    repeat.1 = &repeat.1 + 1.0;

    let error = network.load_state(&state).unwrap_err();

    assert!(
        matches!(error, StateError::NotShared { repeat, .. } if repeat == "temp_fc.2.fc1.weight")
    );
}

#[test]
fn a_state_that_does_not_fit_is_refused_with_every_reason_and_changes_nothing() {
    let network = network(&small_toy());
    let before: Vec<Tensor> = network.parameters().iter().map(|(_, p)| p.copy()).collect();
    let mut state = reference_state(&crate::support::reference("toy.safetensors"));
    state.retain(|(name, _)| name != "in_fc.weight");
    state.push(("extra".to_owned(), Tensor::from(1.0f32)));
    let bias = state.iter_mut().find(|(name, _)| name == "out_fc.bias").unwrap();
    bias.1 = Tensor::zeros([3], (Kind::Float, Device::Cpu));

    let message = network.load_state(&state).unwrap_err().to_string();

    for reason in [
        "in_fc.weight is missing",
        "out_fc.bias has shape [3], expected [2]",
        "extra is unexpected",
    ] {
        assert!(message.contains(reason), "{message}");
    }
    let after: Vec<Tensor> = network.parameters().into_iter().map(|(_, p)| p).collect();
    assert_eq!(before, after);
}

/// Eight channels in groups of two, with classes and an image that halves unevenly twice.
fn odd_unet(resample_with_conv: bool) -> UnetConfig {
    UnetConfig {
        image_size: [17, 13],
        hid_channels: 8,
        ch_multipliers: vec![1, 2, 2],
        apply_attn: vec![false, true, false],
        resample_with_conv,
        num_groups: 4,
        num_classes: Some(3),
        ..crate::support::small_unet()
    }
}

fn odd_inputs(labels: &[i64]) -> Inputs<Tensor> {
    let batch = labels.len() as i64;
    Inputs {
        sample: Tensor::linspace(-1, 1, 3 * 17 * 13, (Kind::Float, Device::Cpu))
            .reshape([1, 3, 17, 13])
            .repeat([batch, 1, 1, 1]),
        timestep: Tensor::full([batch], 12.5, (Kind::Float, Device::Cpu)),
        class_labels: Some(Tensor::from_slice(labels)),
    }
}

#[test]
fn odd_images_keep_their_size_with_either_way_of_resampling() {
    for resample_with_conv in [true, false] {
        let network = network(&ModelConfig::Unet(odd_unet(resample_with_conv)));

        let output = network.forward(&EVAL, &odd_inputs(&[0, 3]));

        assert_eq!(output.size(), [2, 3, 17, 13]);
    }
}

#[test]
fn the_label_matters_and_rows_of_a_batch_do_not_see_each_other() {
    let network = network(&ModelConfig::Unet(odd_unet(true)));
    tch::no_grad(|| {
        for (_, mut parameter) in network.parameters() {
            let _ = parameter.normal_(0.0, 0.2);
        }
    });

    let output = network.forward(&EVAL, &odd_inputs(&[0, 3, 0]));

    let difference = |i, j| excess(&output.get(i), &output.get(j), 0.0);
    assert!(difference(0, 1) > 1e-2, "{}", difference(0, 1));
    assert!(difference(0, 2) < 1e-4, "{}", difference(0, 2));
}

#[test]
fn a_new_network_predicts_almost_nothing() {
    let network = network(&ModelConfig::Unet(odd_unet(true)));

    let output = network.forward(&EVAL, &odd_inputs(&[1]));

    // The last layer's bound is 10⁻⁵ of an ordinary one's.
    let largest = output.abs().max().double_value(&[]);
    assert!(largest > 0.0 && largest < 1e-3, "{largest}");
}

#[test]
fn dropout_drops_only_in_training() {
    let (network, reference) = reference_network(&small_unet(), "unet_small.safetensors");
    let inputs = reference_inputs(&reference);
    let run = |train| network.forward(&Eager { train, masks: None }, &inputs);

    assert_eq!(run(false), run(false));
    assert_ne!(run(true), run(true));
}

fn parse(json: &str) -> Result<ModelConfig, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn settings_left_out_are_those_of_the_reference() {
    let unet = parse(
        r#"{"kind": "unet", "image_size": [16, 16], "in_channels": 3, "out_channels": 3,
            "hid_channels": 32, "ch_multipliers": [1, 2], "num_res_blocks": 1,
            "apply_attn": [false, true]}"#,
    );

    assert_eq!(
        unet.unwrap(),
        ModelConfig::Unet(UnetConfig { drop_rate: 0.0, ..crate::support::small_unet() })
    );
    assert_eq!(parse(r#"{"kind": "toy"}"#).unwrap(), ModelConfig::Toy(ToyConfig::default()));
}

#[test]
fn a_setting_that_does_not_exist_is_refused() {
    let error = parse(r#"{"kind": "toy", "mid_feature": 64}"#).unwrap_err();

    assert!(error.to_string().contains("mid_feature"), "{error}");
}

#[test]
fn settings_that_do_not_fit_are_refused_with_the_number() {
    let refused = |change: fn(&mut UnetConfig)| {
        let mut config = crate::support::small_unet();
        change(&mut config);
        ModelConfig::Unet(config).validate().unwrap_err().to_string()
    };
    for (message, expected) in [
        (refused(|c| c.hid_channels = 48), "48 channels wide, which 32 groups do not divide"),
        (refused(|c| c.ch_multipliers = vec![2, 2]), "begin with 1, got 2"),
        (refused(|c| c.apply_attn = vec![true]), "1 entries, but model.ch_multipliers has 2"),
        (refused(|c| c.drop_rate = 1.0), "drop_rate must be in [0, 1), got 1"),
        (refused(|c| c.norm_eps = f64::NAN), "norm_eps must be positive, got NaN"),
        (refused(|c| c.image_size = [16, 0]), "image_size must be in 1..=8192, got 0"),
        (refused(|c| c.ch_multipliers = vec![]), "length must be in 1..=16, got 0"),
        (refused(|c| c.num_classes = Some(0)), "num_classes must be in 1..=1000000, got 0"),
        (refused(|c| c.hid_channels = i64::MAX), "hid_channels must be in 4..=8192"),
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_level_of_single_channel_groups_is_refused_unless_the_reference_has_it() {
    let reference = small_unet();
    let ours = ModelConfig::Unet(UnetConfig {
        hid_channels: 16,
        num_groups: 16,
        ..crate::support::small_unet()
    });

    assert!(matches!(ours.validate(), Err(ConfigError::Blind { level: 0, num_groups: 16 })));
    assert!(reference.validate().is_ok());
    let warnings = reference.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("level 0 is blind to the timestep"), "{warnings:?}");
}
