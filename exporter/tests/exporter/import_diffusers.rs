//! Promises of `import` for diffusers folders: outputs and samples stay as in Python, and unknown
//! settings are refused by name.
//!
//! The folders are in `tests/fixtures/diffusers`, beside the script that made them with diffusers
//! 0.42.1.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ddpm_conversion::import::{ImportOptions, Imported, ReferenceOutputs, diffusers};
use ddpm_diffusion::samplers::Ddpm;
use ddpm_diffusion::{
    Clip, GridSpec, Kernel, Noise, Prediction, Recipe, Sampler, Start, State, Variance,
};
use ddpm_network::{DiffusersUnetConfig, ModelConfig, Resampling, TimeScaleShift};
use ddpm_onnx::{Batch, Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{DefaultSampler, Package};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::support::{exporter, fixture, stderr, text};

/// Together they use every option of the network and the scheduler.
const MODELS: [&str; 6] = ["ddpm", "legacy", "guided", "odd", "resnets", "hollow"];

fn model(name: &str) -> PathBuf {
    fixture("diffusers").join(name)
}

fn expected(name: &str) -> PathBuf {
    model(&format!("{name}.safetensors"))
}

/// Returns a tensor that the script wrote beside a model.
fn written(name: &str, tensor: &str) -> Vec<f32> {
    let tensors = Tensor::read_safetensors(expected(name)).unwrap();
    let (_, tensor) = tensors.into_iter().find(|(found, _)| found == tensor).unwrap();
    tensor.to_kind(Kind::Float).contiguous().flatten(0, -1).try_into().unwrap()
}

fn imported(name: &str) -> Imported {
    diffusers::import(&model(name), &ImportOptions::default()).unwrap()
}

fn unet(imported: &Imported) -> &DiffusersUnetConfig {
    match &imported.model {
        ModelConfig::Diffusers(unet) => unet,
        other => panic!("not a diffusers UNet: {other:?}"),
    }
}

/// A copy of a model whose settings can be changed.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["", "unet", "scheduler"] {
            let Ok(entries) = fs::read_dir(model(name).join(part)) else { continue };
            fs::create_dir_all(folder.path().join(part)).unwrap();
            for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
                fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
            }
        }
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a key, or removes it.
    fn set(&self, file: &str, key: &str, value: Option<Value>) {
        let path = self.path().join(file);
        let mut settings: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let map = settings.as_object_mut().unwrap();
        match value {
            Some(value) => map.insert(key.to_owned(), value),
            None => map.remove(key),
        };
        fs::write(&path, settings.to_string()).unwrap();
    }

    fn refusal(&self) -> String {
        diffusers::import(self.path(), &ImportOptions::default()).unwrap_err().to_string()
    }
}

fn import(arguments: &[&str]) -> Output {
    exporter(&["import"]).args(arguments).output().unwrap()
}

/// Imports a model into a folder with the command.
fn packaged(name: &str, folder: &Path) -> PathBuf {
    let (source, expected, package) = (model(name), expected(name), folder.join(name));
    let output = import(&[text(&source), "--output", text(&package), "--expect", text(&expected)]);
    let printed = stderr(&output);
    assert!(output.status.success(), "{name}: {printed}");
    // The original program's outputs, and the golden ones of the network and of both graphs.
    assert_eq!(printed.matches(": ok").count(), 4, "{printed}");
    package
}

fn denoiser(package: &Package) -> Denoiser {
    let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
    let device = Device::choose(runtime, DeviceChoice::Cpu).unwrap();
    Denoiser::open(runtime, &device, package).unwrap()
}

#[test]
fn every_option_keeps_the_outputs_of_diffusers_in_libtorch_and_in_onnx_runtime() {
    let folder = tempfile::tempdir().unwrap();
    for name in MODELS {
        let package = Package::open(&packaged(name, folder.path())).unwrap();
        let expected = ReferenceOutputs::open(&expected(name)).unwrap();
        let batch = Batch {
            sample: &expected.sample,
            timestep: &expected.timestep,
            class_labels: expected.class_labels.as_deref().unwrap_or_default(),
        };
        let mut outputs = Vec::new();
        denoiser(&package).evaluate(batch, &mut outputs).unwrap();
        let difference = expected.difference(&outputs);
        assert!(difference.passes(), "{name}: {difference:?}");
    }
}

/// Runs 20 steps of DDIM from x_T with a package's graph and sampler.
fn ddim_20(package: &Package, x_t: &[f32]) -> Vec<f32> {
    let (parameterisation, recipe) = package.manifest().default_recipe().unwrap();
    let recipe = Recipe { num_steps: 20, clip: Clip::Unit, start: Start::State, ..recipe };
    let (program, len) =
        (recipe.compile(&parameterisation).unwrap(), package.manifest().sample_len());
    let (mut denoiser, mut kernel, noise) = (denoiser(package), Kernel::new(len), Noise::new(0));
    let sample = |(index, x): (usize, &[f32])| {
        let mut state = State::from_point(&program, x.to_vec());
        for (position, row) in program.rows().iter().enumerate() {
            let timestep = [row.t as f32];
            let batch = Batch { sample: state.u(), timestep: &timestep, class_labels: &[] };
            let mut output = Vec::new();
            denoiser.evaluate(batch, &mut output).unwrap();
            kernel.advance(row, position, &mut state, &[&output], &noise, index as u64, None);
        }
        state.u().to_vec()
    };
    x_t.chunks(len).enumerate().flat_map(sample).collect()
}

#[test]
fn ddim_in_20_steps_draws_the_pipelines_samples_from_the_same_noise() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ddpm", "odd"] {
        let package = Package::open(&packaged(name, folder.path())).unwrap();
        let drawn = ddim_20(&package, &written(name, "x_T"));
        let difference = drawn.iter().zip(written(name, "ddim_20")).map(|(a, b)| (a - b).abs());
        let largest = difference.fold(0.0, f32::max);
        assert!(largest <= 1e-3, "{name}: {largest}");
    }
}

#[test]
fn schedules_are_those_of_diffusers() {
    for name in MODELS {
        let spec = imported(name).sampling.schedule;
        let schedule = ddpm_diffusion::Schedule::from_betas(spec.betas).unwrap();
        let theirs = written(name, "alphas_cumprod");
        assert_eq!(schedule.timesteps(), theirs.len(), "{name}");
        for (ours, theirs) in schedule.alphas_cumprod().iter().zip(theirs) {
            // Theirs is an f32 product.
            assert!((ours - f64::from(theirs)).abs() < 1e-5, "{name}: {ours} and {theirs}");
        }
    }
}

#[test]
fn a_scheduler_becomes_prediction_variance_and_the_default_sampler() {
    let translated = |name: &str| {
        let sampling = imported(name).sampling;
        let DefaultSampler { sampler, num_steps, grid } = sampling.sampler.unwrap();
        (sampling.prediction, sampling.variance, sampler.to_string(), num_steps, grid)
    };
    let ddpm = Sampler::from(Ddpm { variance: None }).to_string();
    let ddim = "ddim:clip-rule=keep-eps".to_owned();
    let leading = GridSpec::Leading { offset: 0 };
    let (eps, small) = (Prediction::Eps, Variance::FixedSmall);
    assert_eq!(translated("ddpm"), (eps, small, ddim.clone(), 50, leading.clone()));
    assert_eq!(
        translated("legacy"),
        (eps, Variance::FixedLarge, ddpm.clone(), 1000, leading.clone())
    );
    assert_eq!(
        translated("guided"),
        (eps, Variance::LearnedRange, ddpm.clone(), 1000, leading.clone())
    );
    assert_eq!(translated("odd"), (Prediction::V, small, ddim, 50, GridSpec::Trailing));
    assert_eq!(
        translated("resnets"),
        (Prediction::X0, small, ddpm.clone(), 1000, GridSpec::Linspace)
    );
    assert_eq!(translated("hollow"), (eps, small, ddpm, 4, leading));
}

#[test]
fn unusual_clipping_is_listed_as_an_assumption() {
    let notes = imported("legacy").assumptions.join("\n");
    assert!(notes.contains("--clip none"), "{notes}");
    let copy = Copy::new("ddpm");
    copy.set("scheduler/scheduler_config.json", "thresholding", Some(json!(true)));
    let notes =
        diffusers::import(copy.path(), &ImportOptions::default()).unwrap().assumptions.join("\n");
    assert!(notes.contains("--clip dynamic"), "{notes}");
}

#[test]
fn settings_that_change_outputs_silently_are_honoured() {
    let config = "unet/config.json";
    for (name, key, value) in [
        ("ddpm", "downsample_padding", json!(1)),
        ("ddpm", "flip_sin_to_cos", json!(true)),
        ("ddpm", "freq_shift", json!(0)),
        ("ddpm", "norm_eps", json!(1e-2)),
        ("ddpm", "norm_num_groups", json!(2)),
        ("ddpm", "attention_head_dim", json!(4)),
        ("ddpm", "center_input_sample", json!(true)),
        ("odd", "attn_norm_num_groups", json!(3)),
        ("odd", "attention_head_dim", json!(4)),
    ] {
        let copy = Copy::new(name);
        copy.set(config, key, Some(value));
        let changed = diffusers::import(copy.path(), &ImportOptions::default()).unwrap();
        let expected = ReferenceOutputs::open(&expected(name)).unwrap();
        match changed.network() {
            Ok(network) => assert!(!expected.compare(&network).unwrap().passes(), "{key}"),
            // Other heads can need other weights.
            Err(error) => assert!(error.to_string().contains("to_q"), "{key}: {error}"),
        }
    }
}

#[test]
fn a_network_has_the_options_of_its_folder() {
    let guided = imported("guided");
    let unet = unet(&guided);
    assert_eq!(unet.resnet_time_scale_shift, TimeScaleShift::ScaleShift);
    assert_eq!(
        (unet.downsample_type, unet.upsample_type),
        (Resampling::Resnet, Resampling::Resnet)
    );
    assert_eq!((unet.out_channels, unet.attention_head_dim), (6, Some(4)));
    assert_eq!(guided.classes, ["0", "1", "2"]);
    assert_eq!(guided.model.sample_shape(), [3, 8, 8]);
    assert_eq!(imported("ddpm").model.sample_shape(), [3, 8, 12]);
}

#[test]
fn the_last_class_means_no_label_only_on_request() {
    let guided = imported("guided");
    assert!(guided.assumptions.iter().any(|assumed| assumed.contains("--null-class")));
    let known = ImportOptions { null_class: true, ..ImportOptions::default() };
    let with_null = diffusers::import(&model("guided"), &known).unwrap();
    assert_eq!(with_null.classes, ["0", "1"]);
    let expected = ReferenceOutputs::open(&expected("guided")).unwrap();
    assert!(expected.compare(&with_null.network().unwrap()).unwrap().passes());
}

#[test]
fn missing_keys_have_the_defaults_of_diffusers_and_are_listed() {
    let legacy = imported("legacy").assumptions.join("\n");
    assert!(legacy.contains("downsample_type = \"conv\""), "{legacy}");
    let copy = Copy::new("ddpm");
    copy.set("unet/config.json", "attention_head_dim", None);
    let imported = diffusers::import(copy.path(), &ImportOptions::default()).unwrap();
    assert_eq!(unet(&imported).attention_head_dim, Some(8));
    assert!(imported.assumptions[0].contains("attention_head_dim = 8"));
}

#[test]
fn any_other_key_or_value_is_refused_by_name() {
    let (config, scheduler) = ("unet/config.json", "scheduler/scheduler_config.json");
    for (file, key, value, problem) in [
        (config, "time_embedding_type", json!("fourier"), "supported are \"positional\""),
        (config, "class_embed_type", json!("timestep"), "supported are null"),
        (config, "act_fn", json!("mish"), "\"silu\" and \"swish\""),
        (config, "mid_block_scale_factor", json!(1.5), "supported are 1"),
        (config, "mid_block_type", json!("UNetMidBlock2DCrossAttn"), "UNetMidBlock2D and null"),
        (config, "down_block_types", json!(["SkipDownBlock2D", "DownBlock2D"]), "SkipDownBlock2D"),
        (config, "up_block_types", json!(["UpBlock2D", "AttnSkipUpBlock2D"]), "AttnSkipUpBlock2D"),
        (config, "resnet_time_scale_shift", json!("spatial"), "spatial"),
        (config, "downsample_type", json!("fir"), "fir"),
        (config, "downsample_padding", json!(2), "downsample_padding must be in 0..=1, got 2"),
        (config, "sample_size", json!([8, 11]), "11"),
        (config, "norm_num_groups", json!(null), "norm_num_groups = null"),
        (config, "attention_head_dim", json!(32), "attention_head_dim must be in 1..=16"),
        (config, "cross_attention_dim", json!(64), "cross_attention_dim = 64"),
        (config, "_class_name", json!("UNet2DConditionModel"), "UNet2DConditionModel"),
        (scheduler, "_class_name", json!("PNDMScheduler"), "DDIMScheduler.from_config"),
        (scheduler, "beta_schedule", json!("laplace"), "laplace"),
        (scheduler, "prediction_type", json!("flow"), "epsilon, sample and v_prediction"),
        (scheduler, "timestep_spacing", json!("log"), "leading, trailing and linspace"),
        (scheduler, "set_alpha_to_one", json!("yes"), "set_alpha_to_one = \"yes\""),
        (scheduler, "use_flow_sigmas", json!(true), "use_flow_sigmas = true"),
        (scheduler, "use_novel_sigmas", json!(true), "use_novel_sigmas = true"),
        (scheduler, "beta_end", json!(2.0), "beta must be in (0, 1]"),
        (scheduler, "rescale_betas_zero_snr", json!(true), "v or x_0"),
        ("model_index.json", "vqvae", json!(["diffusers", "VQModel"]), "vqvae"),
    ] {
        let copy = Copy::new("ddpm");
        copy.set(file, key, Some(value));
        let found = match diffusers::import(copy.path(), &ImportOptions::default()) {
            Err(error) => error.to_string(),
            Ok(imported) => imported.network().unwrap_err().to_string(),
        };
        assert!(found.contains(problem), "{key}: {found}");
    }
    let copy = Copy::new("guided");
    copy.set(scheduler, "variance_type", Some(json!("learned")));
    assert!(copy.refusal().contains("--variance learned"), "{}", copy.refusal());
    copy.set(scheduler, "variance_type", Some(json!("fixed_small")));
    assert!(copy.refusal().contains("--variance learned-range"), "{}", copy.refusal());
}

#[test]
fn missing_settings_are_named_and_may_come_from_the_user() {
    let copy = Copy::new("ddpm");
    copy.set("unet/config.json", "sample_size", Some(Value::Null));
    assert!(copy.refusal().contains("--image-size"), "{}", copy.refusal());
    let known = ImportOptions { image_size: Some([16, 8]), ..ImportOptions::default() };
    let other = diffusers::import(copy.path(), &known).unwrap();
    assert_eq!(other.model.sample_shape(), [3, 16, 8]);

    fs::remove_dir_all(copy.path().join("scheduler")).unwrap();
    let known = ImportOptions { prediction: Some(Prediction::V), timesteps: Some(10), ..known };
    let alone = diffusers::import(copy.path(), &known).unwrap();
    assert_eq!(
        (alone.sampling.prediction, alone.sampling.schedule.betas.len()),
        (Prediction::V, 10)
    );
    assert!(alone.assumptions.iter().any(|assumed| assumed.contains("beta_schedule = \"linear\"")));

    fs::remove_file(copy.path().join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    let error = diffusers::import(copy.path(), &known).unwrap_err().to_string();
    assert!(error.contains("diffusion_pytorch_model.bin"), "{error}");
}

#[test]
fn flags_for_another_source_and_other_folders_end_in_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (model("ddpm"), folder.path().join("package"));
    let [source, target] = [&source, &target].map(|path| text(path));
    let flag = import(&[source, "--output", target, "--block-size", "2"]);
    assert_eq!(flag.status.code(), Some(3));
    assert!(stderr(&flag).contains("--block-size"));
    let empty = import(&[text(folder.path()), "--output", target]);
    assert_eq!(empty.status.code(), Some(3));
    assert!(stderr(&empty).contains("no diffusers folder"));
}
