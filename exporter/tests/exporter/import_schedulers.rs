//! Promises of `import` for the schedulers of diffusers: what changes the process of the network is
//! honoured or refused by name, what is only a sampler's is not, and our advice works.
//!
//! `tests/fixtures/schedulers` has what diffusers 0.42.1 writes for each of its schedulers, and for
//! each after the call that our messages name, beside the script that made it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;

use ddpm_conversion::import::{ImportError, ImportOptions, Imported, diffusers};
use ddpm_diffusion::{Prediction, Variance};
use serde_json::json;

use crate::support::fixture;

/// Texts of `scheduler_config.json` of one scheduler: `saved`, `ddim`, `ddpm`.
type Texts = BTreeMap<String, String>;

fn schedulers() -> BTreeMap<String, Texts> {
    let text = fs::read(fixture("schedulers/schedulers.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Imports a network with this scheduler.
fn import(scheduler: &str) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let unet = fixture("diffusers/hollow/unet");
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(unet.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("scheduler_config.json"), scheduler).unwrap();
    diffusers::import(folder.path(), &ImportOptions::default())
}

fn refusal(scheduler: &str) -> String {
    import(scheduler).unwrap_err().to_string()
}

/// Schedulers of a process that betas describe: what our message advises works for each.
const SAMPLERS: [&str; 26] = [
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
    "euler_karras",
    "dpm_sde_karras",
    "dpm_cosine",
    "unipc_thresholding",
    "pndm_stable",
    "dpm_learned",
    "DDIMScheduler",
];

#[test]
fn every_sampler_of_betas_is_refused_with_advice_that_works() {
    let all = schedulers();
    for name in SAMPLERS.iter().filter(|name| **name != "DDIMScheduler") {
        let texts = &all[*name];
        let advice = refusal(&texts["saved"]);
        assert!(
            advice.contains("DDIMScheduler.from_config(pipeline.scheduler.config)"),
            "{name}: {advice}"
        );
        let exchanged = import(&texts["ddim"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sampler = exchanged.sampling.sampler.unwrap();
        assert_eq!((sampler.sampler.name(), sampler.num_steps), ("ddim", 50), "{name}");
    }
}

#[test]
fn an_exchanged_scheduler_keeps_the_process() {
    let all = schedulers();
    let imported = |name: &str, to: &str| import(&all[name][to]).unwrap().sampling;
    let cosine = imported("dpm_cosine", "ddim");
    assert_eq!(cosine.schedule.kind, "cosine");
    let stable = imported("pndm_stable", "ddim");
    assert_eq!((stable.schedule.beta_start, stable.schedule.beta_end), (0.00085, 0.012));
    assert_eq!(imported("unipc_thresholding", "ddim").prediction, Prediction::V);
    // Solvers have no variance, and DDPM then takes the small one.
    assert!(all["DPMSolverMultistepScheduler"]["ddpm"].contains("\"variance_type\": null"));
    for name in ["DPMSolverMultistepScheduler", "SASolverScheduler", "EulerDiscreteScheduler"] {
        let ddpm = imported(name, "ddpm");
        assert_eq!(ddpm.variance, Variance::FixedSmall, "{name}");
        assert_eq!(ddpm.sampler.unwrap().num_steps, 1000, "{name}");
    }
    let notes = import(&all["pndm_stable"]["ddim"]).unwrap().assumptions.join("\n");
    assert!(notes.contains("set_alpha_to_one = false"), "{notes}");
}

#[test]
fn schedulers_of_other_processes_are_refused_without_advice_that_would_not_help() {
    let supported = ["DDIMParallelScheduler", "DDPMParallelScheduler", "DDPMScheduler"];
    for (name, texts) in schedulers() {
        if SAMPLERS.contains(&name.as_str()) || supported.contains(&name.as_str()) {
            continue;
        }
        for text in texts.values() {
            // Some have only keys that say nothing: without their name they cannot be told.
            let Err(error) = import(text) else {
                assert!(["IPNDMScheduler"].contains(&name.as_str()), "{name}: {text}");
                continue;
            };
            let error = error.to_string();
            assert!(!error.contains("from_config"), "{name}: {error}");
            assert!(error.contains(" is not supported"), "{name}: {error}");
        }
    }
    for (name, reason) in [
        ("FlowMatchEulerDiscreteScheduler", "its process is a flow"),
        ("EDMEulerScheduler", "its process is EDM's noise levels"),
        ("dpm_flow", "use_flow_sigmas = true"),
        ("euler_continuous", "timestep_type = \"continuous\""),
        ("VQDiffusionScheduler", "supported are DDPMScheduler and DDIMScheduler"),
    ] {
        let error = refusal(&schedulers()[name]["saved"]);
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn a_process_that_only_its_keys_betray_is_refused_by_name() {
    let all = schedulers();
    for (name, key) in [
        ("FlowMatchEulerDiscreteScheduler", "shift = 1.0"),
        ("FlowMatchHeunDiscreteScheduler", "shift = 1.0"),
        ("EDMDPMSolverMultistepScheduler", "sigma_data = 0.5"),
        ("CMStochasticIterativeScheduler", "sigma_data = 0.5"),
        ("CogVideoXDDIMScheduler", "snr_shift_scale = 3.0"),
        ("ScoreSdeVeScheduler", "snr = 0.15"),
        ("DDPMWuerstchenScheduler", "scaler = 1.0"),
        ("dpm_flow", "use_flow_sigmas = true"),
        ("euler_continuous", "timestep_type = \"continuous\""),
    ] {
        let error = refusal(&all[name]["ddim"]);
        assert!(error.contains(key), "{name}: {error}");
    }
}

#[test]
fn the_parallel_schedulers_are_those_of_ddpm_and_ddim() {
    let all = schedulers();
    for (name, sampler, steps) in [
        ("DDIMParallelScheduler", "ddim", 50),
        ("DDPMParallelScheduler", "ddpm", 1000),
        ("DDPMScheduler", "ddpm", 1000),
    ] {
        let found = import(&all[name]["saved"]).unwrap().sampling.sampler.unwrap();
        assert_eq!((found.sampler.name(), found.num_steps), (sampler, steps), "{name}");
    }
}

#[test]
fn json_as_python_writes_it_is_read_where_the_key_does_not_matter() {
    let saved = r#"{"_class_name": "DDIMScheduler", "lambda_min_clipped": -Infinity,
        "sigma_max": Infinity, "sigma_min": NaN, "_note": "NaN, -Infinity"}"#;
    for text in [saved.to_owned(), format!("\u{feff}{saved}"), saved.replace('\n', "\r\n")] {
        import(&text).unwrap();
    }
    for (text, problem) in [
        (r#"{"beta_start": NaN}"#, "beta_start = \"NaN\""),
        (r#"{"beta_end": Infinity}"#, "beta_end = \"Infinity\""),
        (r#"{"num_train_timesteps": -Infinity}"#, "num_train_timesteps = \"-Infinity\""),
        (r#"{"trained_betas": [0.1, NaN]}"#, "trained_betas"),
        ("", "it is empty"),
        ("\u{feff}\r\n", "it is empty"),
        ("{\"a\": nan}", "no such JSON"),
        ("[]", "no such JSON"),
    ] {
        let error = refusal(text);
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn keys_of_2022_are_honoured() {
    let old = |extra: serde_json::Value| {
        let mut scheduler = json!({
            "_class_name": "DDPMScheduler", "tensor_format": "pt", "timesteps": 10,
            "timestep_values": null,
        });
        scheduler.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        import(&scheduler.to_string()).unwrap().sampling
    };
    assert_eq!(old(json!({})).schedule.betas.len(), 10);
    assert_eq!(old(json!({ "predict_epsilon": true })).prediction, Prediction::Eps);
    assert_eq!(old(json!({ "predict_epsilon": false })).prediction, Prediction::X0);
}

#[test]
fn outputs_for_a_variance_that_the_scheduler_calls_fixed_name_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let guided = fixture("diffusers/guided");
    for name in ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        let target = folder.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(guided.join(name), target).unwrap();
    }
    let scheduler = folder.path().join("scheduler_config.json");
    for variance in [json!("fixed_small"), json!("fixed_large"), json!(null)] {
        let text = json!({ "_class_name": "DDPMScheduler", "variance_type": variance });
        fs::write(&scheduler, text.to_string()).unwrap();
        let error = diffusers::import(folder.path(), &ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains("--variance learned-range"), "{error}");
        let options =
            ImportOptions { variance: Some(Variance::LearnedRange), ..ImportOptions::default() };
        let imported = diffusers::import(folder.path(), &options).unwrap();
        assert_eq!(imported.sampling.variance, Variance::LearnedRange);
    }
}
