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
use tch::Tensor;

use super::weights::Weights;
use super::{ImportError, ImportOptions, Imported, SamplingSpec};
use architecture::WeightShapes;
use settings::Settings;

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
    let weights = Weights::open(path)?;
    let choice = WeightChoice::new(&weights, options.raw_weights);
    let state = choice.read(&weights)?;
    let settings = options.config.as_deref().map(Settings::open).transpose()?.unwrap_or_default();
    let wrapped = weights.names().any(|name| name.contains("_model."));
    if wrapped && options.block_size.or(settings.model().block_size).is_none() {
        return Err(ImportError::Missing {
            path: path.into(),
            what: "the number of pixels shuffled into channels, which the prefix `_model.` implies",
            flag: "--block-size, or --config with model.block_size",
        });
    }
    let mut assumptions = Vec::new();
    let shapes = WeightShapes::new(path, &state)?;
    let model = shapes.model(&settings, options, &mut assumptions)?;
    let sampling = sampling(&model, &settings, options, &mut assumptions)?;
    Ok(Imported {
        source: format!("ddpm-torch checkpoint, {}", choice.name()),
        model,
        state,
        sampling,
        classes: Vec::new(),
        assumptions,
    })
}

/// The weights to take from a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum WeightChoice {
    /// The moving average.
    Ema,
    /// The weights of the last step.
    Model,
    /// The only weights: the file is a bare state dictionary.
    Bare,
}

impl WeightChoice {
    /// Chooses the moving average where there is one, unless `raw` weights are wanted.
    fn new(weights: &Weights, raw: bool) -> Self {
        let has = |choice: Self| weights.names().any(|name| name.starts_with(choice.prefix()));
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

    /// Reads the weights under the network's own names, without the prefixes of its wrappers:
    /// `module.` of DistributedDataParallel, `_model.` of the pixel shuffle.
    fn read(self, weights: &Weights) -> Result<Vec<(String, Tensor)>, ImportError> {
        weights.read(|name| {
            let name = name.strip_prefix(self.prefix())?;
            let name = name.strip_prefix("module.").unwrap_or(name);
            Some(name.strip_prefix("_model.").unwrap_or(name).to_owned())
        })
    }
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
