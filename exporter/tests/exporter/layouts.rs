//! Promises about layouts of other programs: a package is also a diffusers folder if diffusers can
//! express the model, and a package becomes a Triton model.
//!
//! `tests/python/check_diffusers.py` (`make diffusers`) reads such packages in Python's diffusers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_conversion::import::{ImportOptions, ReferenceOutputs, diffusers};
use ddpm_package::Package;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::support::{exporter, fixture, repository, run, stderr, stdout, succeed, text};

/// Imports another program's model into a package.
fn package(source: &Path, folder: &Path, flags: &[&str]) -> PathBuf {
    let target = folder.join("package");
    let arguments = ["import", text(source), "--output", text(&target), "--force"];
    succeed(exporter(&arguments).args(flags));
    target
}

fn readme(package: &Path) -> String {
    fs::read_to_string(package.join("README.md")).unwrap()
}

#[test]
fn a_package_of_either_unet_is_a_diffusers_folder_with_the_same_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &[&str]); 4] = [
        ("checkpoints/ema.pt", "checkpoints/ema.safetensors", &["--image-size", "16"]),
        ("diffusers/guided", "diffusers/guided.safetensors", &[]),
        ("diffusers/odd", "diffusers/odd.safetensors", &[]),
        ("diffusers/hollow", "diffusers/hollow.safetensors", &[]),
    ];
    for (source, expected, flags) in cases {
        let package = package(&fixture(source), folder.path(), flags);
        for file in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"] {
            assert!(package.join(file).is_file(), "{source}: {file}");
        }
        // The importer reads what Python's diffusers writes, so it can compare.
        let known =
            ImportOptions { null_class: source == "diffusers/guided", ..ImportOptions::default() };
        let again = diffusers::import(&package, &known).unwrap();
        let expected = ReferenceOutputs::open(&fixture(expected)).unwrap();
        let difference = expected.compare(&again.network().unwrap()).unwrap();
        assert!(difference.passes(), "{source}: {difference:?}");
        let manifest = Package::open(&package).unwrap().manifest().clone();
        assert_eq!(again.sampling.prediction, manifest.prediction, "{source}");
        assert_eq!(again.sampling.variance, manifest.variance, "{source}");
        assert_eq!(again.classes, manifest.classes, "{source}");
        let betas = again.sampling.schedule.betas.iter().zip(&manifest.schedule.betas);
        assert!(betas.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{source}");
    }
}

#[test]
fn the_card_shows_how_to_use_the_package_from_python() {
    let folder = tempfile::tempdir().unwrap();
    let plain = readme(&package(&fixture("diffusers/ddpm"), folder.path(), &[]));
    assert!(plain.contains("DDPMPipeline.from_pretrained(\".\")"), "{plain}");
    assert!(plain.contains("np.random.randn(4, 3, 8, 12)"), "{plain}");
    let labelled = readme(&package(&fixture("diffusers/guided"), folder.path(), &[]));
    assert!(labelled.contains("class_labels=labels"), "{labelled}");
    assert!(labelled.contains("np.full(4, 3, np.int64),  # 3: no label"), "{labelled}");
}

#[test]
fn the_card_says_why_diffusers_cannot_express_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str], &str); 5] = [
        ("toy.pt", &["--timesteps", "5"], "no networks for points"),
        (
            "old.pt",
            &["--image-size", "8", "--timesteps", "5"],
            "attention of diffusers begins with a norm",
        ),
        (
            "shuffled.pt",
            &["--image-size", "12", "--block-size", "2", "--timesteps", "5"],
            "no pixel shuffle",
        ),
        ("ema.pt", &["--image-size", "15", "--timesteps", "5"], "sizes that 2 divides, not 15x15"),
        (
            "ema.pt",
            &["--image-size", "16", "--prediction", "mean", "--timesteps", "5"],
            "no network that predicts mean",
        ),
    ];
    for (name, flags, reason) in cases {
        let package = package(&fixture("checkpoints").join(name), folder.path(), flags);
        let card = readme(&package);
        assert!(
            card.contains("no pipeline of diffusers") && card.contains(reason),
            "{name}: {card}"
        );
        assert!(!package.join("model_index.json").exists(), "{name}");
    }
}

#[test]
fn weights_can_be_left_out_without_changing_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("diffusers/hollow");
    let full = Package::open(&package(&source, folder.path(), &[])).unwrap();
    let small = package(&source, folder.path(), &["--no-weights"]);
    assert!(!small.join("unet/diffusion_pytorch_model.safetensors").exists());
    assert!(readme(&small).contains("written with --no-weights"));
    assert_eq!(Package::open(&small).unwrap().digest(), full.digest());
}

/// Parses a configuration by Triton's documented schema.
fn triton_config(path: &Path) -> DynamicMessage {
    let schema = fixture("triton");
    let files = protox::compile(["model_config.proto"], [schema]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
    let config = pool.get_message_by_name("inference.ModelConfig").unwrap();
    DynamicMessage::parse_text_format(config, &fs::read_to_string(path).unwrap()).unwrap()
}

fn field(message: &DynamicMessage, name: &str) -> Value {
    message.get_field_by_name(name).unwrap().into_owned()
}

/// Returns name, type, dims, and whether reshaping leaves only the batch axis, per tensor.
fn tensors(config: &DynamicMessage, name: &str) -> Vec<(String, i32, Vec<i64>, bool)> {
    let numbers = |value: Value| -> Vec<i64> {
        value.as_list().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
    };
    let tensor = |value: &Value| {
        let tensor = value.as_message().unwrap();
        let reshaped = tensor.has_field_by_name("reshape");
        if reshaped {
            let reshape = field(tensor, "reshape");
            assert!(numbers(field(reshape.as_message().unwrap(), "shape")).is_empty());
        }
        (
            field(tensor, "name").as_str().unwrap().to_owned(),
            field(tensor, "data_type").as_enum_number().unwrap(),
            numbers(field(tensor, "dims")),
            reshaped,
        )
    };
    field(config, name).as_list().unwrap().iter().map(tensor).collect()
}

#[test]
fn a_package_becomes_a_triton_model_by_its_documented_schema() {
    const INT64: i32 = 9;
    const FP32: i32 = 11;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("repository");
    for (name, shape, labelled) in [("glyphs", vec![3, 16, 16], true), ("toy", vec![2], false)] {
        let source = repository().join("models").join(name);
        let arguments = ["export", text(&source), "--layout", "triton", "--output", text(&target)];
        succeed(&mut exporter(&arguments));

        let package = Package::open(&source).unwrap();
        let config = triton_config(&target.join(name).join("config.pbtxt"));
        assert_eq!(field(&config, "name").as_str(), Some(name));
        assert_eq!(field(&config, "platform").as_str(), Some("onnxruntime_onnx"));
        assert_eq!(field(&config, "max_batch_size").as_i32(), Some(64));
        assert!(config.has_field_by_name("dynamic_batching"));
        let mut inputs = vec![
            (
                "sample".to_owned(),
                FP32,
                package.manifest().sample_shape.iter().map(|&n| n as i64).collect(),
                false,
            ),
            ("timestep".to_owned(), FP32, vec![1], true),
        ];
        inputs.extend(labelled.then(|| ("class_labels".to_owned(), INT64, vec![1], true)));
        assert_eq!(tensors(&config, "input"), inputs);
        assert_eq!(tensors(&config, "output"), [("out_sample".to_owned(), FP32, shape, false)]);
        let parameters = field(&config, "parameters");
        let digest =
            &parameters.as_map().unwrap()[&prost_reflect::MapKey::String("ddpm_digest".into())];
        let digest = field(digest.as_message().unwrap(), "string_value");
        assert_eq!(digest.as_str(), Some(package.digest().as_str()));
        let graph = fs::read(target.join(name).join("1/model.onnx")).unwrap();
        assert_eq!(graph, *package.portable_graph().unwrap());

        let again = run(&arguments);
        assert_eq!(again.status.code(), Some(3), "{}", stderr(&again));
        succeed(exporter(&arguments).arg("--force"));
    }
}

#[test]
fn a_run_becomes_a_triton_model_and_a_package_is_not_exported_as_a_package() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("run"), folder.path().join("repository"));
    let train = ["train", "--data", "gaussian8:500", "--batch-size", "50", "--device", "cpu"];
    let short = ["--steps", "20", "--no-export", "--name", "points", "--out", text(&source)];
    succeed(exporter(&train).args(short));
    let arguments = ["export", text(&source), "--layout", "triton", "--output", text(&target)];
    let printed = stdout(&succeed(&mut exporter(&arguments)));
    assert_eq!(printed.trim(), text(&target.join("points")));
    assert_eq!(tensors(&triton_config(&target.join("points/config.pbtxt")), "input").len(), 2);

    let package = repository().join("models/toy");
    let output = run(&["export", text(&package), "--output", text(&folder.path().join("p"))]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("already a package"), "{}", stderr(&output));
    let renamed = [&["export", text(&package)][..], &arguments[2..], &["--name", "other"]].concat();
    assert!(stderr(&run(&renamed)).contains("leave out --name"));
}
