//! Promises of `import` for the folders that diffusers' trainings and `save_pretrained` leave: the
//! moving average comes first, and every way to store the weights is read or refused by name.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ddpm_conversion::import::{ImportOptions, Imported, WeightsChoice, diffusers};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::support::{exporter, fixture, stderr, text};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
/// Keys that `EMAModel.save_pretrained` adds to those of the network.
const AVERAGE: &str = r#""decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0,
    "optimization_step": 500, "power": NaN, "update_after_step": 0, "use_ema_warmup": true"#;

fn source() -> PathBuf {
    fixture("diffusers/hollow/unet")
}

fn source_tensors() -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(source().join(WEIGHTS)).unwrap()
}

/// Returns the source's weights times a factor, which tells them apart.
fn scaled(factor: f64) -> Vec<(String, Tensor)> {
    source_tensors().into_iter().map(|(name, tensor)| (name, tensor * factor)).collect()
}

fn write(folder: &Path, name: &str, tensors: &[(String, Tensor)]) {
    fs::create_dir_all(folder).unwrap();
    Tensor::write_safetensors(tensors, folder.join(name)).unwrap();
}

/// Writes a network's folder, with weights times a factor.
fn network(folder: &Path, factor: f64) {
    write(folder, WEIGHTS, &scaled(factor));
    fs::copy(source().join("config.json"), folder.join("config.json")).unwrap();
}

/// Writes the folder of a moving average.
fn average(folder: &Path, factor: f64) {
    network(folder, factor);
    let path = folder.join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    let config = config.trim_end().trim_end_matches('}');
    fs::write(&path, format!("{},\n  {AVERAGE}\n}}\n", config.trim_end())).unwrap();
}

fn with(weights: WeightsChoice) -> ImportOptions {
    ImportOptions { weights: Some(weights), ..ImportOptions::default() }
}

fn variant(name: &str) -> ImportOptions {
    ImportOptions { variant: Some(name.to_owned()), ..ImportOptions::default() }
}

fn imported(folder: &Path, options: &ImportOptions) -> Imported {
    diffusers::import(folder, options).unwrap()
}

fn refusal(folder: &Path, options: &ImportOptions) -> String {
    diffusers::import(folder, options).unwrap_err().to_string()
}

/// Returns the factor of the weights that were imported.
fn factor(imported: &Imported) -> f64 {
    let find = |tensors: &[(String, Tensor)]| {
        let (_, tensor) = tensors.iter().find(|(name, _)| name == "conv_in.weight").unwrap();
        tensor.to_kind(Kind::Double).abs().sum(Kind::Double).double_value(&[])
    };
    (find(&imported.state) / find(&source_tensors()) * 100.0).round() / 100.0
}

#[test]
fn a_checkpoint_of_a_training_gives_the_moving_average_and_says_so() {
    let run = tempfile::tempdir().unwrap();
    let checkpoint = run.path().join("checkpoint-500");
    network(&checkpoint.join("unet"), 1.0);
    average(&checkpoint.join("unet_ema"), 2.0);
    let ema = imported(&checkpoint, &ImportOptions::default());
    assert_eq!(factor(&ema), 2.0);
    assert_eq!(ema.source, "diffusers UNet2DModel, moving average of the weights");
    assert!(ema.assumptions.iter().any(|note| note.contains("--weights raw takes those of")));
    assert_eq!(factor(&imported(&checkpoint, &with(WeightsChoice::Ema))), 2.0);
    let raw = imported(&checkpoint, &with(WeightsChoice::Raw));
    assert_eq!(factor(&raw), 1.0);
    assert_eq!(raw.source, "diffusers UNet2DModel, weights of the last step");
    assert!(raw.assumptions.iter().any(|note| note.contains("not those of unet_ema/")));
    raw.network().unwrap();

    // Each of both by itself.
    assert_eq!(factor(&imported(&checkpoint.join("unet"), &ImportOptions::default())), 1.0);
    let alone = imported(&checkpoint.join("unet_ema"), &ImportOptions::default());
    assert_eq!(factor(&alone), 2.0);
    assert!(alone.source.ends_with("moving average of the weights"));
    let not_raw = refusal(&checkpoint.join("unet_ema"), &with(WeightsChoice::Raw));
    assert!(not_raw.contains("leave out --weights raw"), "{not_raw}");
    let not_ema = refusal(&checkpoint.join("unet"), &with(WeightsChoice::Ema));
    assert!(not_ema.contains("leave out --weights ema"), "{not_ema}");

    fs::remove_dir_all(checkpoint.join("unet")).unwrap();
    assert_eq!(factor(&imported(&checkpoint, &ImportOptions::default())), 2.0);
    let no_raw = refusal(&checkpoint, &with(WeightsChoice::Raw));
    assert!(no_raw.contains("only unet_ema/"), "{no_raw}");
    let no_checkpoint = refusal(run.path(), &ImportOptions::default());
    assert!(no_checkpoint.contains("checkpoint-500"), "{no_checkpoint}");
}

#[test]
fn a_checkpoint_has_the_scheduler_of_the_pipeline_around_it() {
    let run = tempfile::tempdir().unwrap();
    let checkpoint = run.path().join("checkpoint-20");
    average(&checkpoint.join("unet_ema"), 1.0);
    fs::create_dir(run.path().join("scheduler")).unwrap();
    let scheduler = "scheduler/scheduler_config.json";
    let hollow = fixture("diffusers/hollow");
    fs::copy(hollow.join(scheduler), run.path().join(scheduler)).unwrap();
    for folder in [checkpoint.clone(), checkpoint.join("unet_ema")] {
        let found = imported(&folder, &ImportOptions::default());
        assert_eq!(found.sampling.schedule.betas, [0.1, 0.2, 0.3, 0.4]);
        assert!(found.assumptions.iter().any(|note| note.contains("the scheduler is that of")));
    }
}

#[test]
fn the_command_prefers_the_moving_average_and_obeys_the_flag() {
    let run = tempfile::tempdir().unwrap();
    network(&run.path().join("unet"), 1.0);
    average(&run.path().join("unet_ema"), 1.1);
    let import = |output: &str, flags: &[&str]| {
        let output = run.path().join(output);
        let arguments = ["import", text(run.path()), "--output", text(&output), "--timesteps", "4"];
        let output = exporter(&arguments).args(flags).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let ema = import("ema", &[]);
    assert!(ema.contains("moving average of the weights\n"), "{ema}");
    assert!(ema.contains("--weights raw takes"), "{ema}");
    for flags in [&["--weights", "raw"][..], &["--raw-weights"]] {
        let raw = import(flags[0].trim_start_matches('-'), flags);
        assert!(raw.contains("the weights of the last step are taken"), "{raw}");
    }
}

#[test]
fn half_precision_becomes_single_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), 1.0);
    for (name, kind, type_name) in [("fp16", Kind::Half, "F16"), ("bf16", Kind::BFloat16, "BF16")] {
        let narrow: Vec<_> =
            scaled(2.0).into_iter().map(|(name, tensor)| (name, tensor.to_kind(kind))).collect();
        let file = format!("diffusion_pytorch_model.{name}.safetensors");
        write(folder.path(), &file, &narrow);
        let found = imported(folder.path(), &variant(name));
        assert_eq!(factor(&found), 2.0);
        assert!(found.state.iter().all(|(_, tensor)| tensor.kind() == Kind::Float));
        let notes = found.assumptions.join("\n");
        assert!(notes.contains(&format!("type {type_name} are converted to fp32")), "{notes}");
    }
    // The plain file comes first, and the others are named.
    let plain = imported(folder.path(), &ImportOptions::default());
    assert_eq!(factor(&plain), 1.0);
    let notes = plain.assumptions.join("\n");
    assert!(notes.contains("model.fp16.safetensors") && notes.contains("--variant"), "{notes}");
    let wrong = refusal(folder.path(), &variant("fp8"));
    assert!(wrong.contains("--variant bf16 or --variant fp16"), "{wrong}");

    fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    let several = refusal(folder.path(), &ImportOptions::default());
    assert!(several.contains("several variants"), "{several}");
    fs::remove_file(folder.path().join("diffusion_pytorch_model.bf16.safetensors")).unwrap();
    assert_eq!(factor(&imported(folder.path(), &ImportOptions::default())), 2.0);
}

#[test]
fn a_non_ema_variant_holds_the_raw_weights() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), 1.0);
    write(folder.path(), "diffusion_pytorch_model.non_ema.safetensors", &scaled(3.0));
    for (options, expected, kind) in [
        (ImportOptions::default(), 1.0, "moving average"),
        (with(WeightsChoice::Ema), 1.0, "moving average"),
        (with(WeightsChoice::Raw), 3.0, "last step"),
        (variant("non_ema"), 3.0, "last step"),
    ] {
        let found = imported(folder.path(), &options);
        assert_eq!(factor(&found), expected);
        assert!(found.source.contains(kind), "{}", found.source);
    }
}

/// Splits the weights into two files with an index, which is returned.
fn shards(folder: &Path) -> Value {
    network(folder, 1.0);
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    let tensors = scaled(2.0);
    let mut map = BTreeMap::new();
    for (number, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let file = format!("diffusion_pytorch_model-0000{}-of-00002.safetensors", number + 1);
        write(folder, &file, part);
        map.extend(part.iter().map(|(name, _)| (name.clone(), file.clone())));
    }
    json!({ "metadata": { "total_size": 1 }, "weight_map": map })
}

#[test]
fn weights_in_several_files_are_read_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let index = shards(folder.path());
    let missing = refusal(folder.path(), &ImportOptions::default());
    assert!(missing.contains("safetensors.index.json"), "{missing}");

    let path = folder.path().join("diffusion_pytorch_model.safetensors.index.json");
    fs::write(&path, format!("\u{feff}{index}")).unwrap();
    let found = imported(folder.path(), &ImportOptions::default());
    assert_eq!((factor(&found), found.state.len()), (2.0, source_tensors().len()));
    found.network().unwrap();
}

#[test]
fn an_index_that_does_not_fit_its_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = shards(folder.path());
    let path = folder.path().join("diffusion_pytorch_model.safetensors.index.json");
    let change = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut index = index.clone();
        change(index["weight_map"].as_object_mut().unwrap());
        fs::write(&path, index.to_string()).unwrap();
        refusal(folder.path(), &ImportOptions::default())
    };
    let name = "conv_in.weight";
    let other = |map: &serde_json::Map<String, Value>| {
        let own = map[name].clone();
        map.values().find(|file| **file != own).unwrap().clone()
    };
    let escapes = change(&|map| drop(map.insert(name.into(), json!("../x.safetensors"))));
    assert!(escapes.contains("\"../x.safetensors\", which is no file beside it"), "{escapes}");
    let absolute = change(&|map| drop(map.insert(name.into(), json!("/etc/passwd"))));
    assert!(absolute.contains("no file beside it"), "{absolute}");
    let absent = change(&|map| drop(map.insert(name.into(), json!("x.safetensors"))));
    assert!(absent.contains("x.safetensors, which is not there"), "{absent}");
    let wrong = change(&|map| {
        let other = other(map);
        map.insert(name.into(), other);
    });
    assert!(wrong.contains(name) && wrong.contains("copy them again"), "{wrong}");
    let unlisted = change(&|map| drop(map.remove(name)));
    assert!(unlisted.contains("which the index has not"), "{unlisted}");
    let empty = change(&|map| map.clear());
    assert!(empty.contains("names no tensors"), "{empty}");
}

#[test]
fn two_formats_of_the_same_weights_are_a_stated_choice() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixture("diffusers/legacy");
    for name in ["config.json", "scheduler_config.json", "diffusion_pytorch_model.bin"] {
        fs::copy(legacy.join(name), folder.path().join(name)).unwrap();
    }
    let pickle = imported(folder.path(), &ImportOptions::default());
    write(folder.path(), WEIGHTS, &pickle.state);
    let both = imported(folder.path(), &ImportOptions::default());
    assert!(
        both.assumptions.iter().any(|note| note.contains("not diffusion_pytorch_model.bin")),
        "{:?}",
        both.assumptions
    );
    // Accelerate's name of the same file.
    fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    let renamed = folder.path().join("pytorch_model.bin");
    fs::rename(folder.path().join("diffusion_pytorch_model.bin"), renamed).unwrap();
    assert_eq!(imported(folder.path(), &ImportOptions::default()).state.len(), pickle.state.len());
}

#[test]
fn a_file_that_wraps_the_weights_in_dictionaries_is_unwrapped() {
    let folder = tempfile::tempdir().unwrap();
    let below = |prefix: &str, factor: f64| {
        let named = |(name, tensor)| (format!("{prefix}{name}"), tensor);
        scaled(factor).into_iter().map(named).collect::<Vec<_>>()
    };
    network(folder.path(), 1.0);
    for prefix in ["state_dict.", "model.", "module.", "model.module."] {
        write(folder.path(), WEIGHTS, &below(prefix, 2.0));
        let found = imported(folder.path(), &ImportOptions::default());
        assert_eq!(factor(&found), 2.0, "{prefix}");
        found.network().unwrap();
    }
    let mut both = below("model.", 2.0);
    both.extend(below("ema.", 3.0));
    write(folder.path(), WEIGHTS, &both);
    for (options, expected, kind) in [
        (ImportOptions::default(), 3.0, "moving average of the weights"),
        (with(WeightsChoice::Ema), 3.0, "moving average of the weights"),
        (with(WeightsChoice::Raw), 2.0, "UNet2DModel"),
    ] {
        let found = imported(folder.path(), &options);
        assert_eq!(factor(&found), expected);
        assert!(found.source.ends_with(kind), "{}", found.source);
    }
    write(folder.path(), WEIGHTS, &below("encoder.", 1.0));
    let foreign = refusal(folder.path(), &ImportOptions::default());
    assert!(foreign.contains("an autoencoder"), "{foreign}");
}

#[test]
fn weights_that_are_not_finite_are_refused_by_the_tensors_name() {
    for (value, name) in [(f64::NAN, "conv_in.bias"), (f64::INFINITY, "conv_out.weight")] {
        let folder = tempfile::tempdir().unwrap();
        network(folder.path(), 1.0);
        let tensors = source_tensors();
        let (_, tensor) = tensors.iter().find(|(found, _)| found == name).unwrap();
        let _ = tensor.flatten(0, -1).get(1).fill_(value);
        write(folder.path(), WEIGHTS, &tensors);
        let found = refusal(folder.path(), &ImportOptions::default());
        let count = format!("{name}: 1 of its {} numbers are NaN or infinite", tensor.numel());
        assert!(found.contains(&count), "{found}");
    }
}

#[test]
fn weights_of_zeros_are_said() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), 1.0);
    write(folder.path(), WEIGHTS, &scaled(0.0));
    let zeros = refusal(folder.path(), &ImportOptions::default());
    assert!(zeros.contains("all its weights are zeros"), "{zeros}");
    let mut tensors = source_tensors();
    for (name, tensor) in &mut tensors {
        if name == "conv_out.weight" {
            let _ = tensor.zero_();
        }
    }
    write(folder.path(), WEIGHTS, &tensors);
    let notes = imported(folder.path(), &ImportOptions::default()).assumptions.join("\n");
    assert!(notes.contains("weights are all zeros (conv_out.weight)"), "{notes}");
}

#[test]
fn weights_of_another_network_get_a_short_message() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), 1.0);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["block_out_channels"] = json!([16, 24]);
    fs::write(&path, config.to_string()).unwrap();
    let imported = imported(folder.path(), &ImportOptions::default());
    let found = imported.network().unwrap_err().to_string();
    assert!(found.contains("conv_in.weight has shape [8, 3, 3, 3], expected [16, 3, 3, 3]"));
    assert!(found.ends_with("more such clauses") && found.len() < 600, "{found}");
}

#[test]
fn a_type_that_is_not_real_and_a_file_that_is_cut_short_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), 1.0);
    let whole: Vec<_> = source_tensors()
        .into_iter()
        .map(|(name, tensor)| (name, (tensor * 100).to_kind(Kind::Int8)))
        .collect();
    write(folder.path(), WEIGHTS, &whole);
    let int8 = refusal(folder.path(), &ImportOptions::default());
    assert!(int8.contains("type I8 are not supported; save them as float32"), "{int8}");
    let path = folder.path().join(WEIGHTS);
    let bytes = fs::read(source().join(WEIGHTS)).unwrap();
    for length in [5, 200, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let cut = refusal(folder.path(), &ImportOptions::default());
        assert!(cut.contains("cut short"), "{length}: {cut}");
    }
}
