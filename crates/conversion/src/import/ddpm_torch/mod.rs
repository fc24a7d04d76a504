//! Checkpoints of ddpm-torch: `.pt` files of its image and toy networks, of 2022 and of today.
//!
//! The file holds the weights and nothing about their use. `architecture` derives the network from
//! their names and shapes, `settings` reads the JSON of the training.
//!
//! # Source
//!
//! <https://github.com/tqch/ddpm-torch>

mod architecture;

mod settings;

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, Prediction, Process, Schedule, Variance};
use ddpm_network::ModelConfig;
use ddpm_package::ScheduleSpec;

use super::weights::{self, State, Weights};
use super::{ImportError, ImportOptions, Imported, SamplingSpec};
use architecture::WeightShapes;
use settings::Settings;

/// Tensors that each of its UNets, and each of its toy networks, has.
const ANCHORS: [&str; 2] = ["in_conv.weight", "in_fc.weight"];
/// What a file is not.
const NEITHER: &str = "it holds neither the UNet (in_conv.weight) nor the toy network \
                       (in_fc.weight) of ddpm-torch";

/// Reads a checkpoint.
///
/// * `options`: settings from the user; `options.config` is the reference's JSON.
///
/// # Errors
///
/// [`ImportError`] for a file that cannot be read, a contradiction of the settings, or a missing
/// setting.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    if options.null_class {
        return Err(ImportError::format(
            path,
            &"ddpm-torch has no classes: leave out --null-class",
        ));
    }
    if options.variant.is_some() {
        return Err(ImportError::format(
            path,
            &"--variant is for folders of diffusers, and this is one file: leave it out",
        ));
    }
    let weights = Weights::open(path)?;
    let fault = |problem: String| ImportError::format(path, &problem);
    let chosen = weights::choose(weights.names(), &ANCHORS, options.weights).map_err(fault)?;
    let (section, note) = chosen.ok_or_else(|| weights.foreign(NEITHER))?;
    let settings = options.config.as_deref().map(Settings::open).transpose()?.unwrap_or_default();
    if section.is_behind("_model") && options.block_size.or(settings.model().block_size).is_none() {
        return Err(ImportError::Missing {
            path: path.into(),
            what: "the number of pixels shuffled into channels, which the prefix `_model.` implies",
            flag: "--block-size, or --config with model.block_size",
        });
    }
    let State { tensors, notes } =
        weights.read(|name| section.own_name(name).map(str::to_owned))?;
    let mut assumptions: Vec<String> = note.into_iter().chain(notes).collect();
    let shapes = WeightShapes::new(path, &tensors);
    let model = shapes.model(&settings, options, &mut assumptions)?;
    let sampling = sampling(&model, &settings, options, &mut assumptions)?;
    Ok(Imported {
        source: format!("ddpm-torch checkpoint, {}", section.describe()),
        model,
        state: tensors,
        sampling,
        classes: Vec::new(),
        assumptions,
    })
}

/// Returns process, prediction and variance: the user's, the JSON's, or the reference's defaults.
fn sampling(
    model: &ModelConfig,
    settings: &Settings,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<SamplingSpec, ImportError> {
    let (timesteps, start, end) = match model {
        ModelConfig::Toy(_) => (100, 0.001, 0.2),
        _ => (1000, 1e-4, 0.02),
    };
    let mut assume = |what: &str| assumptions.push(format!("{what}, the default of ddpm-torch"));
    let mut or_default = |value: Option<f64>, default: f64, name: &str| {
        value.unwrap_or_else(|| {
            assume(&format!("{name} = {default}"));
            default
        })
    };
    let json = settings.diffusion();
    let timesteps = options
        .timesteps
        .or(json.timesteps)
        .unwrap_or_else(|| or_default(None, f64::from(timesteps), "timesteps") as usize);
    let beta_start = or_default(options.beta_start.or(json.beta_start), start, "beta_start");
    let beta_end = or_default(options.beta_end.or(json.beta_end), end, "beta_end");
    let kind = options.beta_schedule.or(json.beta_schedule).unwrap_or_else(|| {
        assume("beta_schedule = linear");
        BetaSchedule::Linear
    });
    let prediction = options.prediction.or(json.model_mean_type).unwrap_or_else(|| {
        assume("prediction = eps");
        Prediction::Eps
    });
    let learned = model.output_shape() != model.sample_shape();
    let variance = options.variance.or(json.model_var_type).unwrap_or_else(|| match learned {
        // There is no other network with twice as many outputs.
        true => Variance::Learned,
        false => {
            assume("variance = fixed-large");
            Variance::FixedLarge
        }
    });
    if variance.is_learned() != learned {
        return Err(ImportError::Contradiction {
            key: "the variance".into(),
            stated: variance.name().into(),
            stated_by: "the settings".into(),
            found: if learned { "learned" } else { "fixed" }.into(),
        });
    }
    let schedule = Schedule::new(kind, timesteps, beta_start, beta_end)?;
    let spec = ScheduleSpec::named(kind, beta_start, beta_end, &schedule);
    let process = Process::Discrete(schedule);
    ddpm_diffusion::Parameterisation { process, prediction, variance }.check()?;
    Ok(SamplingSpec { schedule: spec, prediction, variance, sampler: None })
}
