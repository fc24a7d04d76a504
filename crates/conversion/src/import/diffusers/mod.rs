//! Folders of the diffusers library: a `UNet2DModel` with its scheduler.
//!
//! ```text
//! model_index.json                           the list of parts
//! scheduler/scheduler_config.json            `scheduler`: schedule, prediction, variance, sampler
//! unet/config.json                           `unet`: the network
//! unet/diffusion_pytorch_model.safetensors   the weights; or .bin
//! ```
//!
//! Older folders are flat, without subfolders. A folder of a UNet alone works too, if options
//! state how it was trained. An unknown key or value is refused by name, because diffusers would
//! have drawn other pictures.

mod keys;

mod unet;

mod scheduler;

use std::path::{Path, PathBuf};

use ddpm_network::{DiffusersUnetConfig, ModelConfig};
use tch::Tensor;

use super::weights::Weights;
use super::{ImportError, ImportOptions, Imported, SamplingSpec};
use keys::Keys;

const CONFIG: &str = "config.json";
const SCHEDULER: &str = "scheduler_config.json";
const WEIGHTS: [&str; 2] = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"];
const CLASSES: &str = "class_embedding.weight";

/// Returns whether a path looks like such a folder.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    ["model_index.json", CONFIG, "unet"].iter().any(|part| path.join(part).exists())
}

/// Reads a folder.
///
/// # Errors
///
/// [`ImportError`] for a file that cannot be read, a setting that is not supported, or one that is
/// missing.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    refuse_foreign_flags(path, options)?;
    check_index(path)?;
    let mut assumptions = Vec::new();
    let config_path = find(path, "unet", CONFIG)?;
    let mut config = unet::config(&config_path, options, &mut assumptions)?;
    let sampling = match find(path, "scheduler", SCHEDULER) {
        Ok(file) => scheduler::sampling(Some(&file), &config, options, &mut assumptions)?,
        Err(_) => scheduler::sampling(None, &config, options, &mut assumptions)?,
    };
    check(&config, &sampling)?;
    let mut state = weights(path)?.read(|name| Some(current_name(name)))?;
    if let Some(rows) = config.num_classes {
        config.num_classes = Some(classes(rows, &mut state, options, &mut assumptions)?);
    }
    let count = config.num_classes.unwrap_or(0);
    Ok(Imported {
        source: "diffusers UNet2DModel".to_owned(),
        model: ModelConfig::Diffusers(config),
        state,
        sampling,
        classes: (0..count).map(|label| label.to_string()).collect(),
        assumptions,
    })
}

/// Refuses options that only checkpoints of ddpm-torch need.
fn refuse_foreign_flags(path: &Path, options: &ImportOptions) -> Result<(), ImportError> {
    let foreign = [
        ("--config", options.config.is_some()),
        ("--block-size", options.block_size.is_some()),
        ("--raw-weights", options.raw_weights),
    ];
    match foreign.into_iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) => {
            let problem = format!("{flag} is for checkpoints of ddpm-torch, and this is a folder");
            Err(ImportError::format(path, &problem))
        }
        None => Ok(()),
    }
}

/// Checks that the pipeline has no parts but a UNet and a scheduler.
fn check_index(folder: &Path) -> Result<(), ImportError> {
    let path = folder.join("model_index.json");
    if !path.exists() {
        return Ok(());
    }
    let mut keys = Keys::open(&path)?;
    let _: serde_json::Value = keys.take("unet", serde_json::Value::Null)?;
    let _: serde_json::Value = keys.take("scheduler", serde_json::Value::Null)?;
    keys.finish("a pipeline must have only a unet and a scheduler").map(drop)
}

/// Returns `folder/part/file`, or `folder/file` of a flat folder.
fn find(folder: &Path, part: &str, file: &str) -> Result<PathBuf, ImportError> {
    let places = [folder.join(part).join(file), folder.join(file)];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        ImportError::format(folder, &format!("it has neither {part}/{file} nor {file}"))
    })
}

fn weights(folder: &Path) -> Result<Weights, ImportError> {
    let found = WEIGHTS.into_iter().find_map(|file| find(folder, "unet", file).ok());
    match found {
        Some(path) => Weights::open(&path),
        None => {
            let problem = format!("it has no {} in unet/ or beside it", WEIGHTS.join(" and no "));
            Err(ImportError::format(folder, &problem))
        }
    }
}

/// Returns the current name of a parameter: until 2023 those of attention differed.
fn current_name(name: &str) -> String {
    let part = |part: &str| {
        match part {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            "proj_attn" => "to_out.0",
            part => part,
        }
        .to_owned()
    };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Checks that the network has the outputs that sampling needs.
fn check(config: &DiffusersUnetConfig, sampling: &SamplingSpec) -> Result<(), ImportError> {
    let SamplingSpec { schedule, prediction, variance, .. } = sampling;
    let process = schedule.process()?;
    ddpm_diffusion::Parameterisation { process, prediction: *prediction, variance: *variance }
        .check()?;
    let factor = if variance.is_learned() { 2 } else { 1 };
    if config.out_channels == factor * config.in_channels {
        return Ok(());
    }
    Err(ImportError::Contradiction {
        key: "out_channels".into(),
        stated: (factor * config.in_channels).to_string(),
        stated_by: format!("the variance, which is {}", variance.name()),
        found: config.out_channels.to_string(),
    })
}

/// Returns the number of classes, and adds a row for "no label" to the table unless its last row is
/// that.
fn classes(
    rows: i64,
    state: &mut [(String, Tensor)],
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<i64, ImportError> {
    if options.null_class {
        return Ok(rows - 1);
    }
    for (_, table) in state.iter_mut().filter(|(name, _)| name == CLASSES) {
        let width = table.size().get(1).copied().unwrap_or(0);
        let none = Tensor::f_zeros([1, width], (table.kind(), table.device()))?;
        *table = Tensor::f_cat(&[&*table, &none], 0)?;
    }
    assumptions.push(
        "all classes are classes, and no label adds nothing; if the last one was trained as \"no \
         label\", say --null-class"
            .to_owned(),
    );
    Ok(rows)
}
