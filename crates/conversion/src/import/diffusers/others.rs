//! Schedulers other than those of DDPM and DDIM, and what their keys mean.
//!
//! A scheduler of diffusers is a sampler with its options and with the process that the network was
//! trained on. `DDIMScheduler.from_config` keeps the process and, without using them, all keys of
//! the sampler that was there before. So each key of each scheduler is known here: those of
//! samplers change nothing, those of other processes are refused.

use serde_json::{Value, json};

use super::keys::Keys;
use crate::import::ImportError;

/// Samplers of processes that betas describe.
const SAMPLERS: [&str; 19] = [
    "DDIMInverseScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UnCLIPScheduler",
    "UniPCMultistepScheduler",
];

/// Schedulers of other processes, by a part of their names.
const PROCESSES: [(&str, &str); 15] = [
    ("Flow", "a flow"),
    ("Helios", "a flow"),
    ("LTX", "a flow"),
    ("MiniMax", "a flow"),
    ("Piflow", "a flow"),
    ("EDM", "EDM's noise levels"),
    ("Cosine", "EDM's noise levels"),
    ("CMStochastic", "a consistency model"),
    ("ConsistencyDecoder", "a consistency model"),
    ("SCM", "a consistency model"),
    ("CogVideoX", "betas that are shifted for video"),
    ("Wuerstchen", "a continuous cosine"),
    ("IPNDM", "a sine of its own"),
    ("ScoreSde", "a stochastic differential equation"),
    ("KarrasVe", "a stochastic differential equation"),
];

/// Options of samplers. DDPM and DDIM do not read them.
const IGNORED: [&str; 31] = [
    "algorithm_type",
    "corrector_order",
    "disable_corrector",
    "eta",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "noise_sampler_seed",
    "original_inference_steps",
    "predict_x0",
    "predictor_order",
    "shift_terminal",
    "sigma_max",
    "sigma_min",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "tau_func",
    // Of the year 2022: a library, and a list of timesteps that was never set.
    "tensor_format",
    "time_shift_type",
    "timestep_scaling",
    "timestep_values",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
];

/// Keys that only schedulers of another process have.
const OTHER: [(&str, &str); 15] = [
    ("shift", "a flow"),
    ("base_shift", "a flow"),
    ("max_shift", "a flow"),
    ("invert_sigmas", "a flow"),
    ("stochastic_sampling", "a flow"),
    ("sigma_data", "EDM's noise levels"),
    ("sigma_schedule", "EDM's noise levels"),
    ("rho", "EDM's noise levels"),
    ("s_noise", "EDM's noise levels"),
    ("clip_denoised", "a consistency model"),
    ("snr_shift_scale", "betas that are shifted for video"),
    ("scaler", "a continuous cosine"),
    ("snr", "a stochastic differential equation"),
    ("sampling_eps", "a stochastic differential equation"),
    ("num_vec_classes", "noise on discrete codes"),
];

/// Takes the keys that schedulers other than DDPM's and DDIM's have.
///
/// # Errors
///
/// [`ImportError::Setting`] for a key that says that the network was trained on another process.
pub(super) fn take_keys(keys: &mut Keys) -> Result<(), ImportError> {
    for (key, process) in OTHER {
        if let Some(value) = keys.take_value(key) {
            let problem = format!("only schedulers of {process} have it; {}", instead());
            return Err(keys.refuse(key, &value, &problem));
        }
    }
    for (key, harmless, process) in [
        ("use_flow_sigmas", json!(false), "a flow"),
        ("timestep_type", json!("discrete"), "timesteps that are logarithms of noise levels"),
    ] {
        match keys.take_value(key) {
            Some(value) if value != harmless && !value.is_null() => {
                let problem = format!("the network was then trained on {process}; {}", instead());
                return Err(keys.refuse(key, &value, &problem));
            }
            _ => {}
        }
    }
    IGNORED.iter().for_each(|key| {
        keys.ignore(key);
    });
    Ok(())
}

/// Returns whether a scheduler is only a sampler, so that it can be exchanged for DDIM's.
pub(super) fn is_sampler(name: &str) -> bool {
    SAMPLERS.contains(&name)
}

/// Returns the error of a scheduler that is not supported, with what to do about it.
pub(super) fn refuse(keys: &Keys, name: &Value) -> ImportError {
    let text = name.as_str().unwrap_or_default();
    let problem = if is_sampler(text) {
        "supported are DDPMScheduler and DDIMScheduler, for the same network; in Python, \
         pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config), then \
         pipeline.save_pretrained(\"FOLDER\")"
            .to_owned()
    } else if let Some((_, process)) = PROCESSES.iter().find(|(part, _)| text.contains(part)) {
        format!("its process is {process}; {}", instead())
    } else {
        "supported are DDPMScheduler and DDIMScheduler".to_owned()
    };
    keys.refuse("_class_name", name, &problem)
}

fn instead() -> &'static str {
    "import needs a process of betas, as DDPMScheduler and DDIMScheduler have; here, \
     `ddpm-exporter train --process flow` and `--process edm` train other ones"
}
