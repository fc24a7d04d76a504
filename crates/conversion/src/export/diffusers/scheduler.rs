//! A manifest's process as a `DDPMScheduler`.

use ddpm_diffusion::{BetaSchedule, GridSpec, Prediction, Variance};
use ddpm_package::{Manifest, ScheduleSpec};
use serde_json::{Value, json};

use super::version::VERSION;

/// Returns `scheduler_config.json`, or a sentence about what diffusers lacks.
pub(super) fn config(manifest: &Manifest) -> Result<Value, String> {
    let spec = &manifest.schedule;
    if spec.betas.is_empty() {
        return Err(format!("a DDPMPipeline needs a schedule of betas, and this is {}", spec.kind));
    }
    let prediction = match manifest.prediction {
        Prediction::Eps => "epsilon",
        Prediction::X0 => "sample",
        Prediction::V => "v_prediction",
        other => return Err(format!("diffusers knows no network that predicts {}", other.name())),
    };
    let variance = match manifest.variance {
        Variance::FixedSmall => "fixed_small",
        Variance::FixedLarge => "fixed_large",
        Variance::LearnedRange => "learned_range",
        Variance::Learned => {
            return Err("diffusers takes a learned variance for itself, not for its logarithm, \
                        which this network gives"
                .to_owned());
        }
    };
    let (spacing, offset) = match manifest.default_sampler.grid {
        GridSpec::Trailing => ("trailing", 0),
        GridSpec::Linspace => ("linspace", 0),
        GridSpec::Leading { offset } => ("leading", offset),
        _ => ("leading", 0),
    };
    let (rule, start, end, betas) = betas(spec);
    Ok(json!({
        "_class_name": "DDPMScheduler",
        "_diffusers_version": VERSION,
        "num_train_timesteps": spec.betas.len(),
        "beta_schedule": rule,
        "beta_start": start,
        "beta_end": end,
        "trained_betas": betas,
        "variance_type": variance,
        "prediction_type": prediction,
        "clip_sample": true,
        "clip_sample_range": 1.0,
        "thresholding": false,
        "dynamic_thresholding_ratio": 0.995,
        "sample_max_value": 1.0,
        "timestep_spacing": spacing,
        "steps_offset": offset,
        "rescale_betas_zero_snr": false,
    }))
}

/// Returns diffusers' name of the rule with its ends, or the betas themselves.
fn betas(spec: &ScheduleSpec) -> (&'static str, f64, f64, Option<&[f64]>) {
    let is = |kind: BetaSchedule| spec.kind == kind.name();
    // diffusers ignores the ends of rules without any, and of explicit betas.
    let (start, end) = (1e-4, 0.02);
    if is(BetaSchedule::Linear) {
        ("linear", spec.beta_start, spec.beta_end, None)
    } else if is(BetaSchedule::Quad) {
        ("scaled_linear", spec.beta_start, spec.beta_end, None)
    } else if is(BetaSchedule::Cosine) {
        ("squaredcos_cap_v2", start, end, None)
    } else {
        ("linear", start, end, Some(&spec.betas))
    }
}
