//! Promises about models that are damaged: the message names the folder, the file in it and what to
//! do, whichever command meets it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;

use ddpm_exporter::package::Export;
use ddpm_package::{MANIFEST_FILE, Sha256Hex};
use ddpm_training::Checkpoint;
use tch::{Device, Tensor};

use crate::support::{exporter, repository, run, stderr, succeed, text};

const GRAPH: &str = "unet/model.onnx";
const GOLDEN: &str = "testdata/golden.safetensors";

/// Copies the embedded toy model, which packages next to others would be.
fn copy(to: &Path) {
    let from = repository().join("models/toy");
    for file in [MANIFEST_FILE, GRAPH, GOLDEN] {
        let target = to.join(file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(file), target).unwrap();
    }
}

/// Changes a file and lists it in the manifest as it now is.
fn replace(package: &Path, file: &str, content: &[u8]) {
    fs::write(package.join(file), content).unwrap();
    let path = package.join(MANIFEST_FILE);
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for entry in manifest["files"].as_array_mut().unwrap() {
        if entry["path"] == file {
            entry["size"] = content.len().into();
            entry["sha256"] = Sha256Hex::of(content).as_str().into();
        }
    }
    fs::write(path, manifest.to_string()).unwrap();
}

/// Runs every command that reads a package; each must fail with this exit code and these words.
fn refuse(package: &Path, code: i32, words: &[&str], commands: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for command in commands {
        let flags: &[&str] = match *command {
            "eval" => &["--count", "8", "--against", "gaussian8:8"],
            "eval-onnx" => &["--count", "8", "--against", "gaussian8:8", "--engine", "onnx"],
            "sample" => &["--count", "2", "--out", text(&out)],
            "export" => &["--layout", "triton", "--output", text(&out)],
            _ => &[],
        };
        let name = command.split('-').next().unwrap();
        let output = run(&[&[name, text(package)], flags].concat());
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{command}: {printed}");
        let place = package.display().to_string();
        for word in words.iter().copied().chain([place.as_str()]) {
            assert!(printed.contains(word), "{command}: {word}: {printed}");
        }
        assert_eq!(printed.matches(&place).count(), 1, "{command}: {printed}");
    }
}

#[test]
fn a_package_that_lacks_a_file_is_named_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let all = ["verify", "inspect", "eval", "eval-onnx", "sample", "export"];
    let package = folder.path().join("lacking");
    copy(&package);
    fs::remove_file(package.join(GRAPH)).unwrap();
    refuse(&package, 3, &[GRAPH, "it is missing; copy the package again"], &all);

    let package = folder.path().join("changed");
    copy(&package);
    let mut bytes = fs::read(package.join(GRAPH)).unwrap();
    bytes[100] ^= 1;
    fs::write(package.join(GRAPH), bytes).unwrap();
    refuse(&package, 3, &[GRAPH, "its SHA-256 is"], &all);

    let package = folder.path().join("leaving");
    copy(&package);
    let manifest = fs::read_to_string(package.join(MANIFEST_FILE)).unwrap();
    fs::write(package.join(MANIFEST_FILE), manifest.replace(GRAPH, "../model.onnx")).unwrap();
    refuse(&package, 3, &["../model.onnx", "it leaves the package"], &all);
}

#[test]
fn a_package_whose_graph_or_golden_vectors_are_unusable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("foreign");
    copy(&package);
    replace(&package, GRAPH, b"no graph");
    let libtorch = ["verify", "inspect", "eval", "sample"];
    refuse(&package, 3, &["not an ONNX file"], &libtorch);

    let package = folder.path().join("infinite");
    copy(&package);
    let path = package.join(GOLDEN);
    let tensors = Tensor::read_safetensors(&path).unwrap();
    for (name, tensor) in &tensors {
        if name == "out_sample" {
            let _ = tensor.flatten(0, -1).get(3).fill_(f64::NAN);
        }
    }
    Tensor::write_safetensors(&tensors, &path).unwrap();
    replace(&package, GOLDEN, &fs::read(&path).unwrap());
    let words = ["golden vectors: out_sample has a number that is infinite or NaN"];
    refuse(&package, 3, &words, &["verify", "inspect", "eval-onnx"]);
}

#[test]
fn a_network_with_weights_that_are_not_finite_is_not_packaged() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let flags = ["--data", "gaussian8:64", "--steps", "1", "--batch-size", "8", "--no-export"];
    succeed(exporter(&["train", "--out", text(&run), "--device", "cpu"]).args(flags));
    let checkpoint = Checkpoint::find(&run).unwrap();
    let network = checkpoint.network(false, Device::Cpu).unwrap();
    let config = checkpoint.config();
    let source = config.data.source().unwrap();
    let dataset = ddpm_data::load(&source, &config.data.load_options(0)).unwrap();
    let export = Export {
        network: &network,
        state: checkpoint.state(),
        dataset: &dataset,
        name: "model",
        version: "1",
        weights: false,
        cuda: false,
    };
    let target = folder.path().join("package");
    for (name, value) in [("out_fc.bias", f64::NAN), ("in_fc.weight", f64::NEG_INFINITY)] {
        let parameters = network.parameters();
        let (_, tensor) = parameters.iter().find(|(found, _)| found == name).unwrap();
        let before = tensor.copy();
        tch::no_grad(|| drop(tensor.flatten(0, -1).get(1).fill_(value)));
        let error = export.write(&target, false).unwrap_err().to_string();
        tch::no_grad(|| tensor.shallow_clone().copy_(&before));
        let count = format!("{name}: 1 of its {} numbers are NaN or infinite", before.numel());
        assert!(error.contains(&count), "{error}");
        assert!(!target.exists());
    }
}
