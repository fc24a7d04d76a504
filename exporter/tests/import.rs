//! Promises of `import`: models of other programs keep their outputs, and what is not understood is refused.
//!
//! The files are of other programs, in `tests/fixtures/checkpoints`, beside the script that made them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_exporter::import::{Expected, ImportError, Imported, Known, ddpm_torch};
use ddpm_exporter::model::{ModelConfig, ToyConfig, UnetConfig};
use ddpm_onnx::{Batch, Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::Package;

fn checkpoint(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/checkpoints").join(name)
}

fn size(extent: i64) -> Known {
    Known { image_size: Some([extent; 2]), ..Known::default() }
}

fn imported(name: &str, known: &Known) -> Imported {
    ddpm_torch::import(&checkpoint(name), known).unwrap()
}

fn refusal(path: &Path, known: &Known) -> String {
    ddpm_torch::import(path, known).unwrap_err().to_string()
}

fn unet(imported: &Imported) -> &UnetConfig {
    match &imported.model {
        ModelConfig::Unet(unet) => unet,
        other => panic!("not a UNet: {other:?}"),
    }
}

/// The network gives the outputs of the original program.
fn assert_outputs(imported: &Imported, expected: &Path) {
    let difference =
        Expected::open(expected).unwrap().compare(&imported.network().unwrap()).unwrap();
    assert!(difference.passes(), "{expected:?}: {difference:?}");
}

fn import(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddpm-exporter"));
    command.env("OMP_NUM_THREADS", "1").arg("import").args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The package gives the outputs of the original program in ONNX Runtime.
fn assert_onnx_outputs(package: &Path, expected: &Path) {
    let (package, expected) = (Package::open(package).unwrap(), Expected::open(expected).unwrap());
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
fn the_moving_average_of_the_references_checkpoint_keeps_its_outputs_and_takes_its_settings() {
    let known = Known {
        config: Some(checkpoint("ema.json")),
        // The data set that the JSON names has larger pictures.
        ..size(16)
    };
    let imported = imported("ema.pt", &known);

    assert_outputs(&imported, &checkpoint("ema.safetensors"));
    assert_eq!(imported.source, "ddpm-torch checkpoint, moving average of the weights");
    let unet = unet(&imported);
    assert_eq!((unet.hid_channels, &unet.ch_multipliers[..]), (32, &[1, 2][..]));
    assert_eq!((unet.num_res_blocks, &unet.apply_attn[..]), (1, &[false, true][..]));
    let meaning = &imported.meaning;
    assert_eq!(meaning.schedule.kind, BetaSchedule::Quad.name());
    assert_eq!(meaning.schedule.betas.len(), 500);
    assert_eq!((meaning.schedule.beta_start, meaning.schedule.beta_end), (0.0002, 0.03));
    assert_eq!((meaning.prediction, meaning.variance), (Prediction::X0, Variance::FixedSmall));
    assert_eq!(imported.assumptions.len(), 1, "{:?}", imported.assumptions);
    assert!(imported.assumptions[0].contains("norm_eps = 1e-6"));
}

#[test]
fn what_the_user_says_wins_over_the_json_and_what_nobody_says_is_listed() {
    let known = Known {
        config: Some(checkpoint("ema.json")),
        beta_schedule: Some(BetaSchedule::Cosine),
        timesteps: Some(40),
        prediction: Some(Prediction::V),
        variance: Some(Variance::FixedLarge),
        norm_eps: Some(1e-3),
        ..Known::default()
    };
    let said = imported("ema.pt", &known);
    assert_eq!(unet(&said).image_size, [256, 256], "the size of celeba_hq");
    assert_eq!(unet(&said).norm_eps, 1e-3);
    assert_eq!(said.meaning.schedule.kind, BetaSchedule::Cosine.name());
    assert_eq!(said.meaning.schedule.betas.len(), 40);
    let meaning = (said.meaning.prediction, said.meaning.variance);
    assert_eq!(meaning, (Prediction::V, Variance::FixedLarge));

    let silent = imported("ema.pt", &size(16));
    for setting in [
        "norm_eps",
        "timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "prediction",
        "variance",
    ] {
        let listed = silent.assumptions.iter().any(|assumed| assumed.starts_with(setting));
        assert!(listed, "{setting}: {:?}", silent.assumptions);
    }
}

#[test]
fn a_checkpoint_of_2022_has_no_attention_norm_a_larger_eps_and_a_wrapper() {
    let imported = imported("old.pt", &size(8));
    assert!(!unet(&imported).attn_norm);
    assert_eq!(unet(&imported).norm_eps, 1e-5);
    assert_outputs(&imported, &checkpoint("old.safetensors"));
}

#[test]
fn the_wrong_eps_is_noticed() {
    let known = Known { norm_eps: Some(1e-2), ..size(8) };
    let expected = Expected::open(&checkpoint("old.safetensors")).unwrap();
    let network = imported("old.pt", &known).network().unwrap();
    assert!(!expected.compare(&network).unwrap().passes());
}

#[test]
fn bare_weights_behind_a_pixel_shuffle_need_and_get_its_block_size() {
    let path = checkpoint("shuffled.pt");
    assert!(refusal(&path, &size(12)).contains("--block-size"));
    let imported = imported("shuffled.pt", &Known { block_size: Some(2), ..size(12) });
    assert_eq!(unet(&imported).in_channels, 1);
    assert_outputs(&imported, &checkpoint("shuffled.safetensors"));
    let odd = refusal(&path, &Known { block_size: Some(3), ..size(12) });
    assert!(odd.contains("block_size squared is 9"), "{odd}");
}

#[test]
fn the_toy_network_is_found_with_its_repeated_layer() {
    let imported = imported("toy.pt", &Known::default());
    assert_eq!(
        imported.model,
        ModelConfig::Toy(ToyConfig { mid_features: 32, ..ToyConfig::default() })
    );
    assert_eq!(imported.meaning.schedule.betas.len(), 100);
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
        let arguments = [file.to_str().unwrap(), "--output", package.to_str().unwrap()];
        let expect = ["--expect", expected.to_str().unwrap()];
        let output = import(&[&arguments[..], &expect, flags].concat());
        let printed = stderr(&output);
        assert!(output.status.success(), "{name}: {printed}");
        assert!(printed.contains("assumed: timesteps"), "{printed}");
        assert_eq!(printed.matches(": ok").count(), 3, "{printed}");
        assert_onnx_outputs(&package, &expected);
        let card = fs::read_to_string(package.join("README.md")).unwrap();
        assert!(card.contains("| imported from | ddpm-torch checkpoint"), "{card}");
        assert!(card.contains("| assumed | timesteps"), "{card}");
        assert!(package.join("samples/grid.png").is_file());
    }
}

#[test]
fn outputs_of_another_network_are_exit_code_6_and_no_package() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    let (file, expected) = (checkpoint("old.pt"), checkpoint("old.safetensors"));
    let output = import(&[
        file.to_str().unwrap(),
        "--output",
        package.to_str().unwrap(),
        "--image-size",
        "8",
        "--norm-eps",
        "0.01",
        "--expect",
        expected.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(!package.exists());
}

#[test]
fn a_file_that_is_no_checkpoint_or_lacks_something_is_refused_with_what_to_try() {
    let size_is_missing = refusal(&checkpoint("old.pt"), &Known::default());
    assert!(size_is_missing.contains("--image-size"), "{size_is_missing}");
    assert!(refusal(&checkpoint("ema.json"), &Known::default()).contains("no PyTorch file"));
    let missing = ddpm_torch::import(&checkpoint("missing.pt"), &Known::default());
    assert!(matches!(missing, Err(ImportError::Read { .. })));
    let foreign = refusal(&checkpoint("old.safetensors"), &Known::default());
    assert!(foreign.contains("neither the UNet"), "{foreign}");

    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &fs::read(checkpoint("toy.pt")).unwrap()[..9000]).unwrap();
    assert!(refusal(cut.path(), &Known::default()).contains("no PyTorch file"));
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
        let known = Known { config: Some(config.clone()), ..size(16) };
        let found = refusal(&checkpoint("ema.pt"), &known);
        assert!(found.contains(problem), "{json}: {found}");
    }
}
