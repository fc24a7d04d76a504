//! Checkpoints of ddpm-torch: `.pt` files of its image and toy networks, of 2022 and of today.
//!
//! The file holds the weights and nothing about how they are used; see `architecture` for what their
//! names and shapes tell, `settings` for what its JSON says.
//!
//! # Source
//!
//! <https://github.com/tqch/ddpm-torch>

mod architecture;

mod settings;

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, Prediction, Process, Schedule, Variance};
use ddpm_package::ScheduleSpec;
use tch::Tensor;

use super::weights::Weights;
use super::{ImportError, Imported, Known, Meaning};
use crate::model::ModelConfig;
use architecture::Found;
use settings::Settings;

/// Reads a checkpoint.
///
/// * `known`: what the user says; `known.config` is the reference's JSON.
///
/// # Errors
///
/// [`ImportError`] with what cannot be read, does not fit together, or must be said.
pub fn import(path: &Path, known: &Known) -> Result<Imported, ImportError> {
    if known.null_class {
        return Err(ImportError::format(
            path,
            &"ddpm-torch has no classes: leave out --null-class",
        ));
    }
    let weights = Weights::open(path)?;
    let part = Part::of(&weights, known.raw_weights);
    let state = part.read(&weights)?;
    let settings = known.config.as_deref().map(Settings::open).transpose()?.unwrap_or_default();
    let wrapped = weights.names().any(|name| name.contains("_model."));
    if wrapped && known.block_size.or(settings.model().block_size).is_none() {
        return Err(ImportError::Missing {
            path: path.into(),
            what: "how many pixels are shuffled into channels, as the prefix `_model.` tells they are",
            flag: "--block-size, or --config with model.block_size",
        });
    }
    let mut assumptions = Vec::new();
    let found = Found::of(path, &state)?;
    let model = found.model(&settings, known, &mut assumptions)?;
    let meaning = meaning(&model, &settings, known, &mut assumptions)?;
    Ok(Imported {
        source: format!("ddpm-torch checkpoint, {}", part.name()),
        model,
        state,
        meaning,
        classes: Vec::new(),
        assumptions,
    })
}

/// Which of the weights in a file are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// The moving average.
    Ema,
    /// The weights of the last step.
    Model,
    /// The file is a state dictionary and nothing else.
    Bare,
}

impl Part {
    /// The moving average where there is one, unless `raw` weights are wanted.
    fn of(weights: &Weights, raw: bool) -> Self {
        let has = |part: Self| weights.names().any(|name| name.starts_with(part.prefix()));
        match (has(Self::Ema), has(Self::Model)) {
            (true, _) if !raw => Self::Ema,
            (_, true) => Self::Model,
            _ => Self::Bare,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Ema => "ema.shadow.",
            Self::Model => "model.",
            Self::Bare => "",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ema => "moving average of the weights",
            Self::Model => "weights of the last step",
            Self::Bare => "bare weights",
        }
    }

    /// The weights under the names of the network itself, whatever wraps it: `module.` of
    /// DistributedDataParallel, `_model.` of the pixel shuffle.
    fn read(self, weights: &Weights) -> Result<Vec<(String, Tensor)>, ImportError> {
        weights.read(|name| {
            let name = name.strip_prefix(self.prefix())?;
            let name = name.strip_prefix("module.").unwrap_or(name);
            Some(name.strip_prefix("_model.").unwrap_or(name).to_owned())
        })
    }
}

/// The process and what is predicted: by the user, by the JSON, or by the reference's defaults.
fn meaning(
    model: &ModelConfig,
    settings: &Settings,
    known: &Known,
    assumptions: &mut Vec<String>,
) -> Result<Meaning, ImportError> {
    let (timesteps, start, end) = match model {
        ModelConfig::Toy(_) => (100, 0.001, 0.2),
        _ => (1000, 1e-4, 0.02),
    };
    let mut assume = |what: &str| assumptions.push(format!("{what}, the default of ddpm-torch"));
    let mut or = |given: Option<f64>, default: f64, what: &str| {
        given.unwrap_or_else(|| {
            assume(&format!("{what} = {default}"));
            default
        })
    };
    let said = settings.diffusion();
    let timesteps = known
        .timesteps
        .or(said.timesteps)
        .unwrap_or_else(|| or(None, f64::from(timesteps), "timesteps") as usize);
    let beta_start = or(known.beta_start.or(said.beta_start), start, "beta_start");
    let beta_end = or(known.beta_end.or(said.beta_end), end, "beta_end");
    let kind = known.beta_schedule.or(said.beta_schedule).unwrap_or_else(|| {
        assume("beta_schedule = linear");
        BetaSchedule::Linear
    });
    let prediction = known.prediction.or(said.model_mean_type).unwrap_or_else(|| {
        assume("prediction = eps");
        Prediction::Eps
    });
    let learned = model.output_shape() != model.sample_shape();
    let variance = known.variance.or(said.model_var_type).unwrap_or_else(|| match learned {
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
            said: variance.name().into(),
            source_of_said: "the settings".into(),
            found: if learned { "learned" } else { "fixed" }.into(),
        });
    }
    let schedule = Schedule::new(kind, timesteps, beta_start, beta_end)?;
    let spec = ScheduleSpec::named(kind, beta_start, beta_end, &schedule);
    let process = Process::Discrete(schedule);
    ddpm_diffusion::Network { process, prediction, variance }.check()?;
    Ok(Meaning { schedule: spec, prediction, variance, sampler: None })
}
