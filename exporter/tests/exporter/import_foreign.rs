//! Promises of `import` for files that are not what it reads: each is refused as what it is, with
//! what to do.
//!
//! `tests/fixtures/foreign` has small files of other programs, beside the script that made them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_conversion::import::{
    ImportError, ImportOptions, Imported, ReferenceOutputs, WeightsChoice, ddpm_torch,
};
use tch::Tensor;

use crate::support::{exporter, fixture, repository, stderr, text};

fn foreign(name: &str) -> PathBuf {
    fixture("foreign").join(name)
}

fn refusal(path: &Path) -> String {
    ddpm_torch::import(path, &ImportOptions::default()).unwrap_err().to_string()
}

#[test]
fn checkpoints_of_other_programs_are_refused_as_what_they_are() {
    for (name, what) in [
        ("kdiff.pth", "a checkpoint of k-diffusion"),
        ("lucid.pt", "a checkpoint of denoising-diffusion-pytorch"),
        ("guided.pt", "OpenAI's improved-diffusion or guided-diffusion"),
        ("ldm.ckpt", "CompVis' latent diffusion"),
        ("lightning.ckpt", "a checkpoint of PyTorch Lightning"),
        ("optimizer.bin", "the state of an optimiser"),
        ("timm.pth", "a model of timm"),
        ("edm.pkl", "NVlabs' EDM"),
    ] {
        let found = refusal(&foreign(name));
        assert!(found.contains(name) && found.contains(what), "{found}");
        assert!(!found.contains("--block-size"), "{found}");
        let next = ["`ddpm-exporter train", "name the file of the weights"];
        assert!(next.iter().any(|next| found.contains(next)), "{found}");
    }
    let unknown = refusal(&foreign("unknown.pth"));
    assert!(unknown.contains("it holds 4 tensors, such as a.weight, b.weight, c.weight"));
}

#[test]
fn files_that_hold_no_weights_are_refused_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let contents: [(&str, &[u8], &str); 11] = [
        ("empty.pt", b"", "it is empty"),
        ("empty.safetensors", b"", "it is empty"),
        ("zeros.pt", &[0; 600], "begins with zeros"),
        (
            "lfs.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n",
            "git lfs pull",
        ),
        ("page.pth", b"\n<!DOCTYPE html><html>", "it is a web page"),
        ("page.bin", b"\xef\xbb\xbf<HTML>", "it is a web page"),
        ("settings.pt", b"{\"model\": {}}", "it is JSON"),
        ("keras.pt", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("model.pt", b"GGUF\x03\0\0\0", "GGUF"),
        ("array.pt", b"\x93NUMPY\x01\0", "an array of NumPy"),
        ("packed.pt", b"\x1f\x8b\x08\0", "unpack it first"),
    ];
    for (name, content, what) in contents {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let found = refusal(&path);
        assert!(found.contains(name) && found.contains(what), "{found}");
    }
    assert!(refusal(folder.path()).contains("it is a folder"));
    let graph = repository().join("models/toy/unet/model.onnx");
    assert!(refusal(&graph).contains("it is an ONNX graph"));
    let renamed = folder.path().join("graph.pt");
    fs::copy(&graph, &renamed).unwrap();
    assert!(refusal(&renamed).contains("it is an ONNX graph"));
    let missing = ddpm_torch::import(&folder.path().join("no.pt"), &ImportOptions::default());
    assert!(matches!(missing, Err(ImportError::Read { .. })));
}

#[test]
fn safetensors_of_another_architecture_are_refused_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str], &str); 4] = [
        ("lora", &["unet.down_blocks.0.attn1.to_q.lora_A.weight"], "weights of LoRA"),
        ("text", &["text_model.encoder.layers.0.self_attn.q_proj.weight"], "transformers"),
        ("unet", &["conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "config.json"),
        ("other", &["backbone.weight"], "it holds backbone.weight"),
    ];
    for (name, tensors, what) in cases {
        let path = folder.path().join(format!("{name}.safetensors"));
        let one = Tensor::ones([1], (tch::Kind::Float, tch::Device::Cpu));
        let tensors: Vec<_> = tensors.iter().map(|name| (*name, &one)).collect();
        Tensor::write_safetensors(&tensors, &path).unwrap();
        let found = refusal(&path);
        assert!(found.contains(what), "{found}");
    }
}

#[test]
fn folders_that_are_no_source_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("package");
    let import = |source: &Path| {
        let arguments = ["import", text(source), "--output", text(&target)];
        let output = exporter(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stderr(&output)
    };
    let make = |name: &str, file: &str| {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(file), "{}").unwrap();
        path
    };
    let run = import(&make("run", "state.json"));
    assert!(run.contains("`ddpm-exporter export"), "{run}");
    assert!(import(&make("lora", "adapter_config.json")).contains("LoRA"));
    let alone = import(&make("alone", "model.safetensors"));
    assert!(alone.contains("put the config.json"), "{alone}");
    let bert = make("bert", "config.json");
    fs::write(bert.join("config.json"), r#"{"architectures": ["BertModel"]}"#).unwrap();
    assert!(import(&bert).contains("a model of Hugging Face's transformers"));
    fs::write(bert.join("config.json"), r#"{"architecture": "vit_base"}"#).unwrap();
    assert!(import(&bert).contains("a model of timm"));
}

#[test]
fn wrapped_networks_keep_their_outputs() {
    let expected = ReferenceOutputs::open(&fixture("checkpoints/toy.safetensors")).unwrap();
    for (name, kind) in [
        ("toy_state_dict.pth", "weights of the last step"),
        ("toy_compiled.pt", "bare weights"),
        ("toy_one.pt", "bare weights"),
    ] {
        let imported = ddpm_torch::import(&foreign(name), &ImportOptions::default()).unwrap();
        assert_eq!(imported.source, format!("ddpm-torch checkpoint, {kind}"), "{name}");
        assert!(expected.compare(&imported.network().unwrap()).unwrap().passes(), "{name}");
    }
    // toy_one.pt is what the call in this message makes of the file.
    let several = refusal(&foreign("toy_two.pt"));
    assert!(several.contains("below `net.` and `params.`"), "{several}");
    assert!(several.contains("torch.save(torch.load(\"FILE\")[\"net\"], \"weights.pt\")"));
}

#[test]
fn a_checkpoint_with_both_weights_gives_the_moving_average_unless_the_flag_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let toy =
        ddpm_torch::import(&fixture("checkpoints/toy.pt"), &ImportOptions::default()).unwrap();
    let section = |prefix: &str, factor: f64| -> Vec<(String, Tensor)> {
        let named = |(name, tensor): &(String, Tensor)| {
            (format!("{prefix}{name}"), tensor.shallow_clone() * factor)
        };
        toy.state.iter().map(named).collect()
    };
    // Safetensors under PyTorch's ending are told by their content.
    let path = folder.path().join("both.pt");
    let mut both = section("model.module.", 1.0);
    both.extend(section("ema.shadow.module.", 2.0));
    Tensor::write_safetensors(&both, &path).unwrap();
    for (weights, factor, kind, note) in [
        (None, 2.0, "moving average", "--weights raw takes those"),
        (Some(WeightsChoice::Ema), 2.0, "moving average", "--weights raw takes those"),
        (Some(WeightsChoice::Raw), 1.0, "weights of the last step", "not their moving average"),
    ] {
        let options = ImportOptions { weights, ..ImportOptions::default() };
        let found = ddpm_torch::import(&path, &options).unwrap();
        let bias = |imported: &Imported| {
            let (_, tensor) =
                imported.state.iter().find(|(name, _)| name == "out_fc.bias").unwrap();
            tensor.double_value(&[1])
        };
        assert!((bias(&found) / bias(&toy) - factor).abs() < 1e-6);
        assert!(found.source.contains(kind), "{}", found.source);
        assert!(found.assumptions[0].contains(note), "{:?}", found.assumptions);
    }
}

#[test]
fn a_wrong_shape_is_named_with_the_right_one() {
    let wide = refusal(&foreign("toy_wide.pt"));
    assert!(wide.contains("in_fc.weight is [32, 3], expected [32, 2]"), "{wide}");

    let folder = tempfile::tempdir().unwrap();
    let toy = ddpm_torch::import(&fixture("checkpoints/toy.pt"), &ImportOptions::default());
    let changed = |name: &str, shape: &[i64]| {
        let path = folder.path().join("changed.safetensors");
        let zeros = Tensor::ones(shape, (tch::Kind::Float, tch::Device::Cpu));
        let change = |(found, tensor): &(String, Tensor)| match found == name {
            true => (found.clone(), zeros.shallow_clone()),
            false => (found.clone(), tensor.shallow_clone()),
        };
        let state: Vec<_> = toy.as_ref().unwrap().state.iter().map(change).collect();
        Tensor::write_safetensors(&state, &path).unwrap();
        match ddpm_torch::import(&path, &ImportOptions::default()) {
            Err(error) => error.to_string(),
            Ok(imported) => imported.network().unwrap_err().to_string(),
        }
    };
    let outputs = changed("out_fc.weight", &[3, 32]);
    assert!(outputs.contains("out_fc.weight is [3, 32], expected [2, 32] or [4, 32]"), "{outputs}");
    let norm = changed("out_norm.bias", &[31]);
    assert!(norm.contains("out_norm.bias has shape [31], expected [32]"), "{norm}");

    let options = ImportOptions { image_size: Some([8, 8]), ..ImportOptions::default() };
    let old = ddpm_torch::import(&fixture("checkpoints/old.pt"), &options).unwrap();
    let path = folder.path().join("unet.safetensors");
    let odd = Tensor::ones([5, 32, 3, 3], (tch::Kind::Float, tch::Device::Cpu));
    let change = |(name, tensor): &(String, Tensor)| match name == "out_conv.2.weight" {
        true => (name.clone(), odd.shallow_clone()),
        false => (name.clone(), tensor.shallow_clone()),
    };
    let state: Vec<_> = old.state.iter().map(change).collect();
    Tensor::write_safetensors(&state, &path).unwrap();
    let unet = ddpm_torch::import(&path, &options).unwrap_err().to_string();
    let shapes = "[5, 32, 3, 3], expected [3, 32, 3, 3] or [6, 32, 3, 3]";
    assert!(unet.contains(shapes), "{unet}");
}

#[test]
fn weights_that_compute_nothing_are_refused_by_name() {
    let nan = refusal(&foreign("toy_nan.pt"));
    assert!(nan.contains("out_fc.bias: 1 of its 2 numbers are NaN or infinite"), "{nan}");
    let zeros = refusal(&foreign("toy_zeros.pt"));
    assert!(zeros.contains("all its weights are zeros"), "{zeros}");
}
