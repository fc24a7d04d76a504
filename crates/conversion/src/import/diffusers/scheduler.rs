//! `scheduler_config.json`: schedule of the noise, prediction, variance and sampler.
//!
//! A folder names a scheduler, which is a sampler with its options. Those of DDPM and DDIM are
//! supported; diffusers itself turns the configuration of any other into one of them (`others`).

use std::path::Path;

use ddpm_diffusion::samplers::{Ddim, Ddpm};
use ddpm_diffusion::{BetaSchedule, ClippedEps, GridSpec, Prediction, Schedule, Variance};
use ddpm_network::DiffusersUnetConfig;
use ddpm_package::{DefaultSampler, ScheduleSpec};
use serde_json::{Value, json};

use super::keys::Keys;
use super::others;
use crate::import::{ImportError, ImportOptions, SamplingSpec};

/// Default number of DDIM steps in diffusers.
const DDIM_STEPS: usize = 50;

/// Reads a scheduler; without a file, takes the options of the user and the defaults of diffusers.
///
/// # Errors
///
/// [`ImportError::Setting`] for a key or a value that is not supported; [`ImportError::Diffusion`]
/// if the numbers make no schedule.
pub(super) fn sampling(
    path: Option<&Path>,
    config: &DiffusersUnetConfig,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<SamplingSpec, ImportError> {
    let mut keys = match path {
        Some(path) => Keys::open(path)?,
        None => Keys::absent(Path::new("scheduler_config.json")),
    };
    let class = class(&mut keys)?;
    others::take_keys(&mut keys)?;
    let schedule = schedule(&mut keys, options)?;
    let prediction = prediction(&mut keys, options)?;
    let is_ddim = class != Class::Ddpm;
    let variance = variance(&mut keys, options, is_ddim, config)?;
    let sampler = sampler(&mut keys, is_ddim, schedule.betas.len(), assumptions)?;
    notes(&mut keys, assumptions)?;
    // After the rest, so that a folder that cannot be imported gets no advice that would not help.
    if let Class::Other(name) = class {
        keys.check("the key is unknown, and it may change the samples")?;
        return Err(others::refuse(&keys, &name));
    }
    let defaults = keys.finish("the key is unknown, and it may change the samples")?;
    if !defaults.is_empty() {
        assumptions.push(format!("{}, the defaults of diffusers", defaults.join(", ")));
    }
    Ok(SamplingSpec { schedule, prediction, variance, sampler: Some(sampler) })
}

/// The scheduler of a folder.
#[derive(Debug, Clone, PartialEq)]
enum Class {
    Ddpm,
    Ddim,
    /// Not supported, but an exchange for DDIM's is.
    Other(Value),
}

fn class(keys: &mut Keys) -> Result<Class, ImportError> {
    let name: Value = keys.take("_class_name", json!("DDPMScheduler"))?;
    match name.as_str() {
        Some("DDIMScheduler" | "DDIMParallelScheduler") => Ok(Class::Ddim),
        Some("DDPMScheduler" | "DDPMParallelScheduler" | "GaussianDDPMScheduler") => {
            Ok(Class::Ddpm)
        }
        Some(sampler) if others::is_sampler(sampler) => Ok(Class::Other(name)),
        _ => Err(others::refuse(keys, &name)),
    }
}

/// Returns the betas: by the user's rule, the file's explicit betas, or the file's rule.
fn schedule(keys: &mut Keys, options: &ImportOptions) -> Result<ScheduleSpec, ImportError> {
    keys.rename("timesteps", "num_train_timesteps");
    let in_file = keys.take("num_train_timesteps", 1000)?;
    let timesteps = options.timesteps.unwrap_or(in_file);
    let start = keys.take("beta_start", 1e-4)?;
    let end = keys.take("beta_end", 0.02)?;
    let (start, end) = (options.beta_start.unwrap_or(start), options.beta_end.unwrap_or(end));
    let rule: Value = keys.take("beta_schedule", json!("linear"))?;
    let betas: Option<Vec<f64>> = keys.take("trained_betas", None)?;
    let rescale = keys.take("rescale_betas_zero_snr", false)?;
    let spec = match (options.beta_schedule, betas, rule.as_str()) {
        (Some(kind), ..) => named(kind, timesteps, start, end)?,
        (None, Some(betas), _) => explicit(betas)?,
        (None, None, Some("linear")) => named(BetaSchedule::Linear, timesteps, start, end)?,
        (None, None, Some("scaled_linear")) => named(BetaSchedule::Quad, timesteps, start, end)?,
        (None, None, Some("squaredcos_cap_v2")) => {
            named(BetaSchedule::Cosine, timesteps, start, end)?
        }
        (None, None, Some("sigmoid")) => explicit(sigmoid(timesteps, start, end))?,
        _ => {
            let problem = "supported are linear, scaled_linear, squaredcos_cap_v2, sigmoid and \
                           trained_betas";
            return Err(keys.refuse("beta_schedule", &rule, &problem));
        }
    };
    if rescale { explicit(zero_terminal_snr(&spec)?) } else { Ok(spec) }
}

fn named(
    kind: BetaSchedule,
    timesteps: usize,
    start: f64,
    end: f64,
) -> Result<ScheduleSpec, ImportError> {
    Ok(ScheduleSpec::named(kind, start, end, &Schedule::new(kind, timesteps, start, end)?))
}

fn explicit(betas: Vec<f64>) -> Result<ScheduleSpec, ImportError> {
    Schedule::from_betas(betas.clone())?;
    let kind = "explicit".to_owned();
    Ok(ScheduleSpec { kind, beta_start: 0.0, beta_end: 0.0, betas, edm: None })
}

/// Returns betas along a logistic curve from −6 to 6.
fn sigmoid(timesteps: usize, start: f64, end: f64) -> Vec<f64> {
    let step = 12.0 / timesteps.max(2).saturating_sub(1) as f64;
    let beta = |i| start + (end - start) / (1.0 + (6.0 - step * i as f64).exp());
    (0..timesteps).map(beta).collect()
}

/// Shifts and scales √ᾱ so that it ends at 0 and keeps its first value.
///
/// # Source
///
/// Lin et al. 2023, algorithm 1, <https://arxiv.org/abs/2305.08891>.
fn zero_terminal_snr(spec: &ScheduleSpec) -> Result<Vec<f64>, ImportError> {
    let schedule = Schedule::from_betas(spec.betas.clone())?;
    let roots: Vec<f64> = schedule.alphas_cumprod().iter().map(|alpha| alpha.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scaled: Vec<f64> =
        roots.iter().map(|root| ((root - last) * first / (first - last)).powi(2)).collect();
    let before = std::iter::once(&1.0).chain(&scaled);
    Ok(scaled.iter().zip(before).map(|(now, before)| 1.0 - now / before).collect())
}

fn prediction(keys: &mut Keys, options: &ImportOptions) -> Result<Prediction, ImportError> {
    // The key of 2022, which only chose between two.
    let old = match keys.take_value("predict_epsilon") {
        Some(Value::Bool(false)) => "sample",
        _ => "epsilon",
    };
    let name: Value = match keys.has("prediction_type") || old == "epsilon" {
        true => keys.take("prediction_type", json!(old))?,
        false => json!(old),
    };
    Ok(match (options.prediction, name.as_str()) {
        (Some(prediction), _) => prediction,
        (None, Some("epsilon")) => Prediction::Eps,
        (None, Some("sample")) => Prediction::X0,
        (None, Some("v_prediction")) => Prediction::V,
        _ => {
            let problem = "supported are epsilon, sample and v_prediction";
            return Err(keys.refuse("prediction_type", &name, &problem));
        }
    })
}

/// Returns the variance of the reverse steps. DDIM has its own, the small one at η = 1.
fn variance(
    keys: &mut Keys,
    options: &ImportOptions,
    is_ddim: bool,
    config: &DiffusersUnetConfig,
) -> Result<Variance, ImportError> {
    let learned = config.out_channels == 2 * config.in_channels;
    let name: Value = match is_ddim {
        // DDIM does not read it, but configurations made for another scheduler keep it.
        true => {
            keys.ignore("variance_type");
            json!(if learned { "learned_range" } else { "fixed_small" })
        }
        false => keys.take("variance_type", json!("fixed_small"))?,
    };
    Ok(match (options.variance, name.as_str()) {
        (Some(variance), _) => variance,
        (None, Some("fixed_small" | "fixed_small_log")) => Variance::FixedSmall,
        // Solvers have no variance; DDPM then takes the small one.
        (None, None) if name.is_null() => Variance::FixedSmall,
        // The logarithm is a bug of diffusers: samples become NaN.
        (None, Some("fixed_large" | "fixed_large_log")) => Variance::FixedLarge,
        (None, Some("learned_range")) => Variance::LearnedRange,
        (None, Some("learned")) => {
            let problem = "diffusers takes the output for the variance, but networks that learn it \
                           predict its logarithm; if yours does, pass --variance learned";
            return Err(keys.refuse("variance_type", &name, &problem));
        }
        _ => {
            let problem = "supported are fixed_small, fixed_large and learned_range";
            return Err(keys.refuse("variance_type", &name, &problem));
        }
    })
}

/// Returns the scheduler as a sampler: the whole chain for DDPM, 50 steps for DDIM.
fn sampler(
    keys: &mut Keys,
    is_ddim: bool,
    timesteps: usize,
    assumptions: &mut Vec<String>,
) -> Result<DefaultSampler, ImportError> {
    let spacing: Value = keys.take("timestep_spacing", json!("leading"))?;
    let offset: usize = keys.take("steps_offset", 0)?;
    let num_steps = if is_ddim { timesteps.min(DDIM_STEPS) } else { timesteps };
    // The whole chain has no room for an offset.
    let offset = if num_steps < timesteps { offset } else { 0 };
    let grid = match spacing.as_str() {
        Some("leading") => GridSpec::Leading { offset },
        Some("trailing") => GridSpec::Trailing,
        Some("linspace") => GridSpec::Linspace,
        _ => {
            let problem = "supported are leading, trailing and linspace";
            return Err(keys.refuse("timestep_spacing", &spacing, &problem));
        }
    };
    if !is_ddim {
        keys.ignore("set_alpha_to_one");
        let sampler = Ddpm { variance: None }.into();
        return Ok(DefaultSampler { sampler, num_steps, grid });
    }
    // Part of the sampler: PNDM's default, which stays when DDIM takes its place.
    if !keys.take("set_alpha_to_one", true)? {
        assumptions.push(
            "the source's last step ends at the noise of t = 0 (set_alpha_to_one = false); here \
             it ends at x_0"
                .to_owned(),
        );
    }
    let sampler = Ddim { eta: 0.0, clip_rule: ClippedEps::Keep }.into();
    Ok(DefaultSampler { sampler, num_steps, grid })
}

/// Notes how the source keeps x_0 in range: here each request chooses that, by default [−1, 1] for
/// pictures.
fn notes(keys: &mut Keys, assumptions: &mut Vec<String>) -> Result<(), ImportError> {
    let clips = keys.take("clip_sample", true)?;
    let range = keys.take("clip_sample_range", 1.0)?;
    let thresholds = keys.take("thresholding", false)?;
    keys.ignore("dynamic_thresholding_ratio");
    keys.ignore("sample_max_value");
    let note = match (thresholds, clips) {
        (true, _) => "the source thresholds x_0 dynamically: ask for it with --clip dynamic",
        (false, false) => "the source does not clip x_0: ask for that with --clip none",
        (false, true) if range != 1.0 => "the source clips x_0 to another range",
        _ => return Ok(()),
    };
    assumptions.push(format!("x_0 is clipped to [-1, 1] unless a request says otherwise; {note}"));
    Ok(())
}
