//! Folders of the diffusers library: a `UNet2DModel` with its scheduler.
//!
//! ```text
//! model_index.json                           the list of parts
//! scheduler/scheduler_config.json            `scheduler`: schedule, prediction, variance, sampler
//! unet/config.json                           `unet`: the network
//! unet/diffusion_pytorch_model.safetensors   `files`: the weights
//! ```
//!
//! Older folders are flat, without subfolders; those of a training have the moving average of the
//! weights too (`folder`). A folder of a UNet alone works too, if options state how it was trained.
//! An unknown key or value is refused by name, because diffusers would have drawn other pictures.

mod keys;

mod folder;
pub use folder::is_folder;

mod files;

mod unet;

mod scheduler;

mod others;

use std::path::Path;

use ddpm_network::{DiffusersUnetConfig, ModelConfig};
use tch::Tensor;

use super::weights::{self, Weights};
use super::{ImportError, ImportOptions, Imported, SamplingSpec, WeightsChoice};
use files::Chosen;
use folder::Parts;
use keys::Keys;

const CONFIG: &str = "config.json";
const SCHEDULER: &str = "scheduler_config.json";
/// A tensor that each UNet2DModel has.
const ANCHOR: &str = "conv_in.weight";
const CLASSES: &str = "class_embedding.weight";

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
    let Parts { network, stated, scheduler, notes } = folder::find(path, options)?;
    assumptions.extend(notes);
    let mut unet = unet::read(&network.join(CONFIG), options, &mut assumptions)?;
    let config = &mut unet.config;
    let sampling = scheduler::sampling(scheduler.as_deref(), config, options, &mut assumptions)?;
    check(path, config, &sampling)?;
    let stated = if unet.is_average { Some(WeightsChoice::Ema) } else { stated };
    let Loaded { tensors: mut state, kind } = weights(&network, stated, options, &mut assumptions)?;
    if let Some(rows) = config.num_classes {
        config.num_classes = Some(classes(rows, &mut state, options, &mut assumptions)?);
    }
    let count = config.num_classes.unwrap_or(0);
    Ok(Imported {
        source: format!("diffusers UNet2DModel{kind}"),
        model: ModelConfig::Diffusers(unet.config),
        state,
        sampling,
        classes: (0..count).map(|label| label.to_string()).collect(),
        assumptions,
    })
}

/// Refuses options that only checkpoints of ddpm-torch need.
fn refuse_foreign_flags(path: &Path, options: &ImportOptions) -> Result<(), ImportError> {
    let foreign =
        [("--config", options.config.is_some()), ("--block-size", options.block_size.is_some())];
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

/// Weights, and which they are.
struct Loaded {
    tensors: Vec<(String, Tensor)>,
    /// Begins with a comma; empty if nothing says so.
    kind: &'static str,
}

/// Reads the weights.
///
/// * `stated`: which weights they are, if the folder says so.
fn weights(
    network: &Path,
    stated: Option<WeightsChoice>,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<Loaded, ImportError> {
    let Chosen { path, stated: by_variant, notes } = files::choose(network, options)?;
    let stated = stated.or(by_variant);
    let choice = match (options.weights, stated) {
        (Some(WeightsChoice::Raw), Some(WeightsChoice::Ema)) => {
            let problem = "its weights are the moving average: name the folder of those of the \
                           last step, or leave out --weights raw";
            return Err(ImportError::format(network, &problem));
        }
        (Some(WeightsChoice::Ema), Some(WeightsChoice::Ema)) => None,
        (choice, _) => choice,
    };
    let weights = Weights::open(&path)?;
    let chosen = weights::choose(weights.names(), &[ANCHOR], choice)
        .map_err(|problem| ImportError::format(weights.path(), &problem))?;
    let expected = format!("it holds no UNet2DModel ({ANCHOR})");
    let (section, note) = chosen.ok_or_else(|| weights.foreign(&expected))?;
    let state = weights.read(|name| section.own_name(name).map(current_name))?;
    assumptions.extend(notes.into_iter().chain(note).chain(state.notes));
    let kind = match stated {
        Some(WeightsChoice::Ema) => ", moving average of the weights",
        _ if section.describe().starts_with("moving") => ", moving average of the weights",
        Some(WeightsChoice::Raw) => ", weights of the last step",
        None => "",
    };
    Ok(Loaded { tensors: state.tensors, kind })
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
fn check(
    path: &Path,
    config: &DiffusersUnetConfig,
    sampling: &SamplingSpec,
) -> Result<(), ImportError> {
    let SamplingSpec { schedule, prediction, variance, .. } = sampling;
    let process = schedule.process()?;
    ddpm_diffusion::Parameterisation { process, prediction: *prediction, variance: *variance }
        .check()?;
    let factor = if variance.is_learned() { 2 } else { 1 };
    if config.out_channels == factor * config.in_channels {
        return Ok(());
    }
    if !variance.is_learned() && config.out_channels == 2 * config.in_channels {
        return Err(ImportError::Missing {
            path: path.into(),
            what: "the variance that the second half of the network's outputs stands for, as its \
                   scheduler says that it is fixed",
            flag: "--variance learned-range, which improved-diffusion and its successors train",
        });
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
