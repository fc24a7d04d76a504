//! Promises of `import` for ddpm-torch checkpoints: models keep their outputs, and unknown settings
//! are refused.
//!
//! The checkpoints are in `tests/fixtures/checkpoints`, beside the script that made them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ddpm_conversion::import::{ImportError, ImportOptions, Imported, ReferenceOutputs, ddpm_torch};
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_network::{ModelConfig, ToyConfig, UnetConfig};
use ddpm_onnx::{Batch, Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::Package;

use crate::support::{exporter, fixture, stderr, text};

fn checkpoint(name: &str) -> PathBuf {
    fixture("checkpoints").join(name)
}

fn size(extent: i64) -> ImportOptions {
    ImportOptions { image_size: Some([extent; 2]), ..ImportOptions::default() }
}

fn imported(name: &str, known: &ImportOptions) -> Imported {
    ddpm_torch::import(&checkpoint(name), known).unwrap()
}

fn refusal(path: &Path, known: &ImportOptions) -> String {
    ddpm_torch::import(path, known).unwrap_err().to_string()
}

fn unet(imported: &Imported) -> &UnetConfig {
    match &imported.model {
        ModelConfig::Unet(unet) => unet,
        other => panic!("not a UNet: {other:?}"),
    }
}

/// Checks that the network returns the outputs of the original program.
fn assert_outputs(imported: &Imported, expected: &Path) {
    let difference =
        ReferenceOutputs::open(expected).unwrap().compare(&imported.network().unwrap()).unwrap();
    assert!(difference.passes(), "{expected:?}: {difference:?}");
}

fn import(arguments: &[&str]) -> Output {
    exporter(&["import"]).args(arguments).output().unwrap()
}

/// Checks that the package returns the outputs of the original program in ONNX Runtime.
fn assert_onnx_outputs(package: &Path, expected: &Path) {
    let (package, expected) =
        (Package::open(package).unwrap(), ReferenceOutputs::open(expected).unwrap());
    let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
    let device = Device::choose(runtime, DeviceChoice::Cpu).unwrap();
    let mut denoiser = Denoiser::open(runtime, &device, &package).unwrap();
    let mut outputs = Vec::new();
    let batch = Batch {
        sample: &expected.sample,
        timestep: &expected.timestep,
        class_labels: expected.class_labels.as_deref().unwrap_or_default(),
    };
    denoiser.evaluate(batch, &mut outputs).unwrap();
    let difference = expected.difference(&outputs);
    assert!(difference.passes(), "{difference:?}");
}

#[test]
fn the_moving_average_of_a_checkpoint_keeps_its_outputs_and_settings() {
    let known = ImportOptions {
        config: Some(checkpoint("ema.json")),
        // The data set named in the JSON has larger pictures.
        ..size(16)
    };
    let imported = imported("ema.pt", &known);

    assert_outputs(&imported, &checkpoint("ema.safetensors"));
    assert_eq!(imported.source, "ddpm-torch checkpoint, moving average of the weights");
    let unet = unet(&imported);
    assert_eq!((unet.hid_channels, &unet.ch_multipliers[..]), (32, &[1, 2][..]));
    assert_eq!((unet.num_res_blocks, &unet.apply_attn[..]), (1, &[false, true][..]));
    let sampling = &imported.sampling;
    assert_eq!(sampling.schedule.kind, BetaSchedule::Quad.name());
    assert_eq!(sampling.schedule.betas.len(), 500);
    assert_eq!((sampling.schedule.beta_start, sampling.schedule.beta_end), (0.0002, 0.03));
    assert_eq!((sampling.prediction, sampling.variance), (Prediction::X0, Variance::FixedSmall));
    assert_eq!(imported.assumptions.len(), 1, "{:?}", imported.assumptions);
    assert!(imported.assumptions[0].contains("norm_eps = 1e-6"));
}

#[test]
fn flags_override_the_json_and_assumed_settings_are_listed() {
    let known = ImportOptions {
        config: Some(checkpoint("ema.json")),
        beta_schedule: Some(BetaSchedule::Cosine),
        timesteps: Some(40),
        prediction: Some(Prediction::V),
        variance: Some(Variance::FixedLarge),
        norm_eps: Some(1e-3),
        ..ImportOptions::default()
    };
    let overridden = imported("ema.pt", &known);
    assert_eq!(unet(&overridden).image_size, [256, 256], "the size of celeba_hq");
    assert_eq!(unet(&overridden).norm_eps, 1e-3);
    assert_eq!(overridden.sampling.schedule.kind, BetaSchedule::Cosine.name());
    assert_eq!(overridden.sampling.schedule.betas.len(), 40);
    let sampling = (overridden.sampling.prediction, overridden.sampling.variance);
    assert_eq!(sampling, (Prediction::V, Variance::FixedLarge));

    let assumed = imported("ema.pt", &size(16));
    for setting in [
        "norm_eps",
        "timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "prediction",
        "variance",
    ] {
        let listed = assumed.assumptions.iter().any(|line| line.starts_with(setting));
        assert!(listed, "{setting}: {:?}", assumed.assumptions);
    }
}

#[test]
fn a_checkpoint_from_2022_has_no_attention_norm_a_larger_eps_and_a_wrapper() {
    let imported = imported("old.pt", &size(8));
    assert!(!unet(&imported).attn_norm);
    assert_eq!(unet(&imported).norm_eps, 1e-5);
    assert_outputs(&imported, &checkpoint("old.safetensors"));
}

#[test]
fn a_wrong_eps_changes_the_outputs() {
    let known = ImportOptions { norm_eps: Some(1e-2), ..size(8) };
    let expected = ReferenceOutputs::open(&checkpoint("old.safetensors")).unwrap();
    let network = imported("old.pt", &known).network().unwrap();
    assert!(!expected.compare(&network).unwrap().passes());
}

#[test]
fn bare_weights_behind_a_pixel_shuffle_need_and_get_its_block_size() {
    let path = checkpoint("shuffled.pt");
    assert!(refusal(&path, &size(12)).contains("--block-size"));
    let imported = imported("shuffled.pt", &ImportOptions { block_size: Some(2), ..size(12) });
    assert_eq!(unet(&imported).in_channels, 1);
    assert_outputs(&imported, &checkpoint("shuffled.safetensors"));
    let odd = refusal(&path, &ImportOptions { block_size: Some(3), ..size(12) });
    assert!(odd.contains("block_size squared is 9"), "{odd}");
}

#[test]
fn the_toy_network_is_recognised_with_its_repeated_layer() {
    let imported = imported("toy.pt", &ImportOptions::default());
    assert_eq!(
        imported.model,
        ModelConfig::Toy(ToyConfig { mid_features: 32, ..ToyConfig::default() })
    );
    assert_eq!(imported.sampling.schedule.betas.len(), 100);
    assert_outputs(&imported, &checkpoint("toy.safetensors"));
}

#[test]
fn every_kind_of_checkpoint_becomes_a_package_that_keeps_its_outputs_in_onnx_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 4] = [
        ("ema", &["--image-size", "16"]),
        ("old", &["--image-size", "8"]),
        ("shuffled", &["--image-size", "12x12", "--block-size", "2"]),
        ("toy", &[]),
    ];
    for (name, flags) in cases {
        let (file, expected) =
            (checkpoint(&format!("{name}.pt")), checkpoint(&format!("{name}.safetensors")));
        let package = folder.path().join(name);
        let arguments = [text(&file), "--output", text(&package)];
        let expect = ["--expect", text(&expected)];
        let output = import(&[&arguments[..], &expect, flags].concat());
        let printed = stderr(&output);
        assert!(output.status.success(), "{name}: {printed}");
        assert!(printed.contains("assumed: timesteps"), "{printed}");
        // The original program's outputs, and the golden ones of the network and of each graph.
        let graphs = if name == "toy" { 1 } else { 2 };
        assert_eq!(printed.matches(": ok").count(), 2 + graphs, "{printed}");
        assert_onnx_outputs(&package, &expected);
        let card = fs::read_to_string(package.join("README.md")).unwrap();
        assert!(card.contains("| imported from | ddpm-torch checkpoint"), "{card}");
        assert!(card.contains("| assumed | timesteps"), "{card}");
        assert!(package.join("samples/grid.png").is_file());
    }
}

#[test]
fn outputs_that_differ_end_in_exit_code_6_and_no_package() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    let (file, expected) = (checkpoint("old.pt"), checkpoint("old.safetensors"));
    let output = import(&[
        text(&file),
        "--output",
        text(&package),
        "--image-size",
        "8",
        "--norm-eps",
        "0.01",
        "--expect",
        text(&expected),
    ]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(!package.exists());
}

#[test]
fn a_file_that_is_no_checkpoint_or_incomplete_is_refused_with_advice() {
    let size_is_missing = refusal(&checkpoint("old.pt"), &ImportOptions::default());
    assert!(size_is_missing.contains("--image-size"), "{size_is_missing}");
    assert!(
        refusal(&checkpoint("ema.json"), &ImportOptions::default()).contains("no PyTorch file")
    );
    let missing = ddpm_torch::import(&checkpoint("missing.pt"), &ImportOptions::default());
    assert!(matches!(missing, Err(ImportError::Read { .. })));
    let foreign = refusal(&checkpoint("old.safetensors"), &ImportOptions::default());
    assert!(foreign.contains("neither the UNet"), "{foreign}");

    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &fs::read(checkpoint("toy.pt")).unwrap()[..9000]).unwrap();
    assert!(refusal(cut.path(), &ImportOptions::default()).contains("no PyTorch file"));
}

#[test]
fn settings_may_begin_with_a_mark_and_end_their_lines_as_windows_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(checkpoint("ema.json")).unwrap().replace('\n', "\r\n");
    fs::write(&config, format!("\u{feff}{text}")).unwrap();
    let known = ImportOptions { config: Some(config.clone()), ..size(16) };
    assert_eq!(imported("ema.pt", &known).sampling.schedule.betas.len(), 500);
    for (content, problem) in
        [("", "it is empty"), ("<html>", "it is a web page"), ("{", "it is no such JSON")]
    {
        fs::write(&config, content).unwrap();
        let found = refusal(&checkpoint("ema.pt"), &known);
        assert!(found.contains("config.json") && found.contains(problem), "{found}");
    }
}

#[test]
fn settings_that_contradict_the_weights_or_are_unknown_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    for (json, problem) in [
        (r#"{"model": {"hid_channels": 64}}"#, "model.hid_channels is 64"),
        (r#"{"denoise": {"num_res_blocks": 2}}"#, "model.num_res_blocks is 2"),
        (r#"{"model": {"apply_attn": true}}"#, "model.apply_attn is [true, true]"),
        (r#"{"model": {"ch_multipliers": [1, 2, 2]}}"#, "model.ch_multipliers is [1, 2, 2]"),
        (r#"{"model": {"resample_with_conv": false}}"#, "model.resample_with_conv is false"),
        (r#"{"model": {"in_channels": 1}}"#, "model.in_channels is 1"),
        (r#"{"model": {"time_embedding_dim": 64}}"#, "model.time_embedding_dim is 64"),
        (r#"{"model": {"num_groups": 8}}"#, "unknown field `num_groups`"),
        (r#"{"diffusion": {"beta_schedule": "cubic"}}"#, "\"cubic\" is not one of linear"),
        (r#"{"diffusion": {"model_var_type": "learned"}}"#, "the variance is learned"),
    ] {
        fs::write(&config, json).unwrap();
        let known = ImportOptions { config: Some(config.clone()), ..size(16) };
        let found = refusal(&checkpoint("ema.pt"), &known);
        assert!(found.contains(problem), "{json}: {found}");
    }
}
