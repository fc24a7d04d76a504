//! The mathematics against numbers computed by ddpm-torch; see
//! `tests/fixtures/reference/README.md` for what each array is and how close a
//! port must come.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ddpm_diffusion::samplers::{Ddim, Ddpm};
use ddpm_diffusion::{
    BetaSchedule, Clip, ClippedEps, Evaluation, GridSpec, Kernel, Noise, Parameterisation, Point,
    Prediction, Program, Recipe, Row, Sampler, Schedule, State, Variance, q_sample,
};
use safetensors::SafeTensors;
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/reference");
    fs::read(folder.join(name)).expect("the fixture is committed")
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).expect("the fixture is JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// All f32 tensors of a file, and t.
fn tensors(name: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = fixture(name);
    let file = SafeTensors::deserialize(&bytes).expect("the fixture is safetensors");
    let floats =
        |data: &[u8]| data.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect();
    let steps = |data: &[u8]| {
        data.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word) as f32).collect()
    };
    file.iter()
        .map(|(name, view)| {
            let integers = view.dtype() == safetensors::Dtype::I64;
            let values = if integers { steps(view.data()) } else { floats(view.data()) };
            (name.to_owned(), values)
        })
        .collect()
}

fn assert_close(got: &[f64], want: &[f64], relative: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        let equal = got == want || (got - want).abs() <= relative * want.abs();
        assert!(equal, "{what}[{place}]: {got} against {want}");
    }
}

fn assert_near(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        let near = (got - want).abs() <= 2e-5 + 1e-5 * want.abs();
        assert!(near, "{what}[{place}]: {got} against {want}");
    }
}

#[test]
fn schedules_agree_to_twelve_digits() {
    let reference = json("schedules.json");
    let cases = [("T1000", 1000, 1e-4, 0.02), ("T100", 100, 1e-4, 0.02)];
    let mut compared = 0;
    for (key, timesteps, start, end) in cases {
        for (name, want) in reference[key].as_object().expect("schedules by name") {
            let (_, kind) = *BetaSchedule::NAMES.iter().find(|(known, _)| known == name).unwrap();
            let schedule = Schedule::new(kind, timesteps, start, end).unwrap();
            compare_schedule(&schedule, want, &format!("{key} {name}"));
            compared += 1;
        }
    }
    let toy = Schedule::linear(100, 0.001, 0.2).unwrap();
    compare_schedule(&toy, &reference["toy_default_T100_linear_0.001_0.2"], "toy");
    assert_eq!(compared, 12);
}

fn compare_schedule(schedule: &Schedule, want: &Value, what: &str) {
    let all = |of: &dyn Fn(usize) -> f64| (0..schedule.timesteps()).map(of).collect::<Vec<_>>();
    let ours = [
        ("betas", schedule.betas().to_vec()),
        ("alphas_bar", schedule.alphas_cumprod().to_vec()),
        ("posterior_var", all(&|t| schedule.posterior_variance(t))),
        ("posterior_logvar_clipped", all(&|t| schedule.posterior_log_variance_clipped(t))),
        ("posterior_mean_coef1", all(&|t| schedule.posterior_mean_coefficients(t).0)),
        ("posterior_mean_coef2", all(&|t| schedule.posterior_mean_coefficients(t).1)),
        ("fixed_large_var", schedule.betas().to_vec()),
        ("fixed_large_logvar", all(&|t| schedule.fixed_large_log_variance(t))),
    ];
    for (name, ours) in ours {
        if let Some(want) = want.get(name) {
            assert_close(&ours, &numbers(want), 1e-12, &format!("{what} {name}"));
        }
    }
}

#[test]
fn the_subsequences_agree_with_their_duplicates_and_their_extra_step() {
    for (name, want) in json("ddim.json")["selection"].as_object().unwrap() {
        let parts: Vec<&str> = name.split('_').collect();
        let [skip, steps, timesteps] = parts[..] else { panic!("{name}") };
        let steps: usize = steps.parse().unwrap();
        let timesteps: usize = timesteps.trim_start_matches('T').parse().unwrap();
        let schedule = Schedule::linear(timesteps, 1e-4, 0.02).unwrap();
        let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedLarge);
        let grid = reference_grid(skip).grid(&network.process, steps).unwrap();
        let ascending: Vec<f64> = grid.points().iter().rev().map(|point| point.t).collect();
        assert_eq!(ascending, numbers(want), "{name}");
    }
}

fn reference_grid(skip: &str) -> GridSpec {
    format!("ddpm-torch-{skip}").parse().expect("a grid of the reference")
}

#[test]
fn ddim_rows_are_the_references_coefficients() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedLarge);
    let cases = json("ddim.json");
    let cases = cases["coefs"].as_array().unwrap();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let num_steps = case["size"].as_u64().unwrap() as usize;
        let eta = case["eta"].as_f64().unwrap();
        // η = 1 with the large variance is the respaced chain of DDPM.
        let sampler = if case["var_type"] == "fixed-large" {
            Sampler::Ddpm(Ddpm { variance: None })
        } else {
            Sampler::Ddim(Ddim { eta, clip_rule: ClippedEps::Recompute })
        };
        let grid = reference_grid(case["skip"].as_str().unwrap());
        let recipe = Recipe::new(sampler, &network);
        let recipe = Recipe { grid, num_steps, clip: Clip::Unit, ..recipe };
        let program = recipe.compile(&network).unwrap();
        compare_rows(&program, case);
    }
}

fn compare_rows(program: &Program, case: &Value) {
    let what =
        format!("{} {} eta {} {}", case["skip"], case["size"], case["eta"], case["var_type"]);
    let ascending =
        |of: &dyn Fn(&Row) -> f64| -> Vec<f64> { program.rows().iter().rev().map(of).collect() };
    let near = |got: Vec<f64>, key: &str| {
        // 1 − ᾱ loses digits near the data, and so does β = 1 − ᾱ_t/ᾱ_s.
        let want = numbers(&case[key]);
        let equal = |(got, want): (&f64, &f64)| (got - want).abs() <= 1e-11 * want.abs().max(1e-2);
        let equal = got.iter().zip(&want).all(equal);
        assert!(equal && got.len() == want.len(), "{what} {key}:\n{got:?}\n{want:?}");
    };
    near(ascending(&|row| row.x_0.p_u), "sqrt_recip_alphas_bar");
    near(ascending(&|row| -row.x_0.p_f), "sqrt_recip_m1_alphas_bar");
    near(ascending(&|row| row.u.x_0), "posterior_mean_coef1");
    near(ascending(&|row| row.u.u), "posterior_mean_coef2");
    let (got, want) = (ascending(&|row| row.u.z * row.u.z), numbers(&case["model_var"]));
    assert_eq!(got[0], 0.0, "{what}: the last step adds no noise");
    for (got, want) in got.iter().zip(&want).skip(1) {
        assert!((got - want).abs() <= 1e-11, "{what} model_var: {got} against {want}");
    }
}

#[test]
fn the_forward_process_and_its_inversions_agree() {
    let reference = tensors("diffusion_math.safetensors");
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let network =
        Parameterisation::discrete(schedule.clone(), Prediction::Eps, Variance::FixedSmall);
    let len = 3 * 8 * 8;
    for (place, t) in reference["t"].iter().enumerate() {
        let t = *t as usize;
        let point: Point = network.process.at_timestep(t as f64).unwrap();
        let of = |name: &str| &reference[name][place * len..][..len];
        let mut got = vec![0.0f32; len];
        q_sample(&point, of("x_0"), of("noise"), &mut got);
        assert_near(&got, of("x_t"), &format!("x_t at {t}"));
        let Evaluation { p_u, p_f, .. } = network.at(&point).unwrap();
        let x_0 = of("x_t").iter().zip(of("noise"));
        let x_0: Vec<f32> = x_0.map(|(x_t, eps)| p_u as f32 * x_t + p_f as f32 * eps).collect();
        assert_near(&x_0, of("pred_x0_from_eps"), &format!("x_0 from eps at {t}"));

        let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
        let mean: Vec<f32> = of("x_0")
            .iter()
            .zip(of("x_t"))
            .map(|(x_0, x_t)| of_x_0 as f32 * x_0 + of_x_t as f32 * x_t)
            .collect();
        assert_near(&mean, of("posterior_mean"), &format!("posterior mean at {t}"));
    }
}

/// One row of the whole chain without its noise, applied to x_t: (mean, x_0).
fn mean_and_x_0(row: &Row, x_t: &[f32], output: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut row = row.clone();
    row.u.z = 0.0;
    row.label.step = 1;
    row.label.num_steps = 1;
    let program = Program::new(vec![row]).unwrap();
    let mut state = State::from_point(&program, x_t.to_vec());
    let mut kernel = Kernel::new(x_t.len());
    kernel.advance(&program.rows()[0], 0, &mut state, &[output], &Noise::new(0), 0, None);
    (state.u().to_vec(), kernel.x_0().to_vec())
}

#[test]
fn one_row_gives_the_references_mean_and_x_0_for_every_parameterisation() {
    let reference = tensors("diffusion_math.safetensors");
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let len = 3 * 8 * 8;
    let mut compared = 0;
    for prediction in [Prediction::Eps, Prediction::X0, Prediction::Mean] {
        for variance in [Variance::FixedSmall, Variance::FixedLarge, Variance::Learned] {
            let name = variance.name();
            for (suffix, clip) in [("clip0", Clip::None), ("clip1", Clip::Unit)] {
                let network = Parameterisation::discrete(schedule.clone(), prediction, variance);
                let recipe = Recipe::new(Sampler::Ddpm(Ddpm { variance: None }), &network);
                let program = Recipe { clip, ..recipe }.compile(&network).unwrap();
                for (place, t) in reference["t"].iter().enumerate() {
                    let of = |name: &str| &reference[name][place * len..][..len];
                    let key = format!("p_mean_var.{}.{name}.{suffix}", prediction.name());
                    let mut output = of(&format!("model_out.{}", prediction.name())).to_vec();
                    if variance == Variance::Learned {
                        output.extend(of("model_out.logvar"));
                    }
                    let row = &program.rows()[999 - *t as usize];
                    let (mean, x_0) = mean_and_x_0(row, of("x_t"), &output);
                    assert_near(&mean, of(&format!("{key}.mean")), &format!("{key}.mean at {t}"));
                    // For the mean, x_0 divides by c_1, and the rounding of f32 with it.
                    let rounding = match prediction {
                        Prediction::Mean => {
                            1e-6 / schedule.posterior_mean_coefficients(*t as usize).0 as f32
                        }
                        _ => 0.0,
                    };
                    let want = of(&format!("{key}.pred_x0"));
                    let far =
                        |(a, b): (&f32, &f32)| (a - b).abs() > 2e-5 + 1e-5 * b.abs() + rounding;
                    assert!(!x_0.iter().zip(want).any(far), "{key}.pred_x0 at {t}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 3 * 3 * 2 * 6);
}

#[test]
fn log_variances_agree_at_every_timestep_of_the_vectors() {
    let reference = tensors("diffusion_math.safetensors");
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    for (place, t) in reference["t"].iter().enumerate() {
        let t = *t as usize;
        let small = schedule.posterior_log_variance_clipped(t) as f32;
        let large = schedule.fixed_large_log_variance(t) as f32;
        let want = |name: &str| reference[&format!("p_mean_var.eps.{name}.clip1.logvar")][place];
        assert_near(&[small], &[want("fixed-small")], "small");
        assert_near(&[large], &[want("fixed-large")], "large");
    }
}
