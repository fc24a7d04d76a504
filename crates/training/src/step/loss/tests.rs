use std::f64::consts::PI;

use ddpm_diffusion::{Edm, Parameterisation, Prediction, Schedule};

use super::*;
use crate::batching::{Batch, Rows};
use crate::config::{EdmConfig, ProcessKind};

fn term(first: bool) -> BoundTerm {
    BoundTerm {
        p_u: 0.0,
        p_f: 1.0,
        of_x_0: 0.75,
        of_x_t: 0.25,
        ln_posterior: -3.0,
        ln_upper: -2.0,
        first,
    }
}

fn variational(x_0: &[f32], first: bool, discretised: bool) -> Variational {
    Variational { x_0: row(x_0), terms: vec![term(first)], discretised }
}

fn row(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).reshape([1, values.len() as i64])
}

fn bits(variational: &Variational, variance: Variance, f: &[f32], v: &[f32], x_t: &[f32]) -> f64 {
    let (raw, learned) = (row(v), variance.is_learned());
    let raw = learned.then_some(&raw);
    let bits = bits_per_dimension(variational, variance, &row(f), raw, &row(x_t)).unwrap();
    bits.double_value(&[0])
}

#[test]
fn a_term_is_the_divergence_of_two_gaussians_in_bits() {
    // With variances s₁², s₂² and means m apart: ln(s₂/s₁) + (s₁² + m²) / 2 s₂² − 1/2.
    let kl = |m: f64, ln_1: f64, ln_2: f64| {
        0.5 * (ln_2 - ln_1) + 0.5 * (ln_1.exp() + m * m) / ln_2.exp() - 0.5
    };
    let (x_0, x_t) = ([0.5, -0.25], [0.1, 0.2]);
    let variational = variational(&x_0, false, true);
    // A perfect mean with the right variance costs nothing.
    assert!(bits(&variational, Variance::LearnedRange, &x_0, &[-1.0, -1.0], &x_t).abs() < 1e-7);
    let fixed = bits(&variational, Variance::FixedLarge, &[0.7, -0.25], &[], &x_t);
    let want = 0.5 * (kl(0.75 * 0.2, -3.0, -2.0) + kl(0.0, -3.0, -2.0)) / LN_2;
    assert!((fixed - want).abs() < 1e-6, "{fixed} against {want}");
    // The share of a learned range is a number in [−1, 1]; a learned variance is its logarithm.
    let range = bits(&variational, Variance::LearnedRange, &x_0, &[0.0, 1.0], &x_t);
    let want = 0.5 * (kl(0.0, -3.0, -2.5) + kl(0.0, -3.0, -2.0)) / LN_2;
    assert!((range - want).abs() < 1e-6, "{range} against {want}");
    let learned = bits(&variational, Variance::Learned, &x_0, &[-1.0, -4.0], &x_t);
    let want = 0.5 * (kl(0.0, -3.0, -1.0) + kl(0.0, -3.0, -4.0)) / LN_2;
    assert!((learned - want).abs() < 1e-6, "{learned} against {want}");
}

#[test]
fn the_last_step_to_points_costs_their_negative_log_density() {
    let variational = variational(&[0.5], true, false);
    let got = bits(&variational, Variance::Learned, &[0.1], &[-1.0], &[0.3]);
    let mean = 0.75 * 0.1 + 0.25 * 0.3;
    let want = 0.5 * ((2.0 * PI).ln() - 1.0 + (0.5f64 - mean).powi(2) * 1.0f64.exp()) / LN_2;
    assert!((got - want).abs() < 1e-6, "{got} against {want}");
}

#[test]
fn with_hybrid_the_prediction_learns_from_the_squared_error_alone() {
    let output = row(&[0.4, -0.3, 0.2, 0.1]).set_requires_grad(true);
    let (x_t, target) = (row(&[0.1, 0.2]), row(&[0.5, -0.25]));
    let variational = variational(&[0.5, -0.25], false, true);
    let loss = |kind| {
        let objective = Objective { kind, variance: Variance::LearnedRange, timesteps: 1000 };
        loss(objective, &output, &x_t, &target, None, Some(&variational)).unwrap()
    };
    loss(Loss::Hybrid).backward();
    let hybrid = Vec::<f32>::try_from(output.grad().flatten(0, -1)).unwrap();
    // d/dF mean (F − target)² = (F − target).
    assert!((hybrid[0] + 0.1).abs() < 1e-6 && (hybrid[1] + 0.05).abs() < 1e-6, "{hybrid:?}");
    assert!(hybrid[2].abs() > 1e-3 && hybrid[3].abs() > 1e-3, "{hybrid:?}");
    let (whole, error) = (loss(Loss::Hybrid), (output.narrow(1, 0, 2) - &target).square());
    let whole = whole.double_value(&[]) - error.mean(Kind::Float).double_value(&[]);
    assert!((whole - loss(Loss::Kl).double_value(&[])).abs() < 1e-6);
}

#[test]
fn a_term_at_a_timestep_has_the_numbers_of_the_schedule() {
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let network =
        Parameterisation::discrete(schedule.clone(), Prediction::Eps, Variance::LearnedRange);
    let at = |t: f64| BoundTerm::at(&network, &network.process.at_timestep(t).unwrap()).unwrap();
    let term = at(40.0);
    assert_eq!((term.of_x_0, term.of_x_t), schedule.posterior_mean_coefficients(40));
    assert_eq!(term.ln_upper, schedule.betas()[40].ln());
    assert!(term.ln_posterior < term.ln_upper && !term.first);
    assert!(at(0.0).first);
    let edm = Parameterisation::edm(Edm::PAPER);
    assert!(BoundTerm::at(&edm, &edm.process.at_rho(1.0).unwrap()).is_err());
}

#[test]
fn min_snr_makes_every_prediction_learn_the_same_of_x_0() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let (x_0, noise, guess) = ([0.5f32, -0.25], [0.3f32, -1.2], [0.1f32, 0.2]);
    let error = (0.4f64.powi(2) + 0.45f64.powi(2)) / 2.0;
    for prediction in [Prediction::Eps, Prediction::X0, Prediction::V, Prediction::Mean] {
        let network =
            Parameterisation::discrete(schedule.clone(), prediction, Variance::FixedLarge);
        let diffusion = DiffusionConfig {
            process: ProcessKind::Discrete,
            beta_schedule: ddpm_diffusion::BetaSchedule::Linear,
            timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            edm: EdmConfig::PAPER,
            prediction,
            variance: Variance::FixedLarge,
            loss: None,
            min_snr: Some(5.0),
        };
        for t in [10, 400, 900] {
            let point = network.process.at_timestep(f64::from(t)).unwrap();
            let mut rows = Rows::begin(0, 0, vec![2], &diffusion);
            rows.push(&diffusion, &network, &point, &x_0, &noise).unwrap();
            let Batch { x_t, target, weights, .. } = rows.finish(Device::Cpu).unwrap();
            let seen: Vec<f32> = x_t.flatten(0, -1).try_into().unwrap();
            let evaluation = network.at(&point).unwrap();
            // The output that stands for the guess of x_0 = p_u x_t + p_F F.
            let output: Vec<f32> = guess
                .iter()
                .zip(&seen)
                .map(|(guess, x_t)| (f64::from(*guess), f64::from(*x_t)))
                .map(|(guess, x_t)| ((guess - evaluation.p_u * x_t) / evaluation.p_f) as f32)
                .collect();
            let output = row(&output);
            let objective = Objective::new(&diffusion);
            let got = loss(objective, &output, &x_t, &target, weights.as_deref(), None).unwrap();

            let snr = (point.alpha / point.sigma).powi(2);
            let (got, want) = (got.double_value(&[]), snr.min(5.0) * error);
            // Eps at small t is x_t − α x_0 over a small σ: it loses digits of f32.
            assert!((got / want - 1.0).abs() < 1e-3, "{prediction:?}, t {t}: {got}, {want}");
        }
    }
}
