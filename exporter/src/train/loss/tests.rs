use ddpm_diffusion::{Edm, Schedule};

use super::*;
use crate::train::{Batch, DiffusionConfig, EdmConfig, ProcessKind, Rows};

fn term(first: bool) -> Term {
    Term {
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
    let of = variational(&x_0, false, true);
    // A perfect mean with the right variance costs nothing.
    assert!(bits(&of, Variance::LearnedRange, &x_0, &[-1.0, -1.0], &x_t).abs() < 1e-7);
    let fixed = bits(&of, Variance::FixedLarge, &[0.7, -0.25], &[], &x_t);
    let want = 0.5 * (kl(0.75 * 0.2, -3.0, -2.0) + kl(0.0, -3.0, -2.0)) / LN_2;
    assert!((fixed - want).abs() < 1e-6, "{fixed} against {want}");
    // The share of a learned range is a number in [−1, 1]; a learned variance is its logarithm.
    let range = bits(&of, Variance::LearnedRange, &x_0, &[0.0, 1.0], &x_t);
    let want = 0.5 * (kl(0.0, -3.0, -2.5) + kl(0.0, -3.0, -2.0)) / LN_2;
    assert!((range - want).abs() < 1e-6, "{range} against {want}");
    let learned = bits(&of, Variance::Learned, &x_0, &[-1.0, -4.0], &x_t);
    let want = 0.5 * (kl(0.0, -3.0, -1.0) + kl(0.0, -3.0, -4.0)) / LN_2;
    assert!((learned - want).abs() < 1e-6, "{learned} against {want}");
}

#[test]
fn the_bins_of_pictures_have_probabilities_that_add_up_to_one() {
    let mean = row(&[0.3]);
    for ln_variance in [-8.0f32, -2.0, 1.0] {
        let ln_variance = row(&[ln_variance]);
        let sum: f64 = (0..256)
            .map(|level| row(&[level as f32 / 127.5 - 1.0]))
            .map(|x| (-discretised_nll(&x, &mean, &ln_variance)).exp().double_value(&[0, 0]))
            .sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

#[test]
fn the_last_step_to_points_is_judged_by_their_density() {
    let of = variational(&[0.5], true, false);
    let got = bits(&of, Variance::Learned, &[0.1], &[-1.0], &[0.3]);
    let mean = 0.75 * 0.1 + 0.25 * 0.3;
    let want = 0.5 * ((2.0 * PI).ln() - 1.0 + (0.5f64 - mean).powi(2) * 1.0f64.exp()) / LN_2;
    assert!((got - want).abs() < 1e-6, "{got} against {want}");
}

#[test]
fn with_hybrid_the_prediction_learns_from_the_squared_error_alone() {
    let output = row(&[0.4, -0.3, 0.2, 0.1]).set_requires_grad(true);
    let (x_t, target) = (row(&[0.1, 0.2]), row(&[0.5, -0.25]));
    let of = variational(&[0.5, -0.25], false, true);
    let loss = |kind| {
        let objective = Objective { kind, variance: Variance::LearnedRange, timesteps: 1000 };
        loss(objective, &output, &x_t, &target, None, Some(&of)).unwrap()
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
    let network = Network::discrete(schedule.clone(), Prediction::Eps, Variance::LearnedRange);
    let at = |t: f64| Term::at(&network, &network.process.at_timestep(t).unwrap()).unwrap();
    let term = at(40.0);
    assert_eq!((term.of_x_0, term.of_x_t), schedule.posterior_mean_coefficients(40));
    assert_eq!(term.ln_upper, schedule.betas()[40].ln());
    assert!(term.ln_posterior < term.ln_upper && !term.first);
    assert!(at(0.0).first);
    let edm = Network::edm(Edm::PAPER);
    assert!(Term::at(&edm, &edm.process.at_rho(1.0).unwrap()).is_err());
}

#[test]
fn losses_that_do_not_suit_a_network_are_refused() {
    let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
    let network = |variance| Network::discrete(schedule.clone(), Prediction::Eps, variance);
    let refuses = |loss, network: &Network| objection(loss, network).is_some();
    assert!(!refuses(Loss::Mse, &network(Variance::FixedSmall)));
    assert!(!refuses(Loss::Kl, &network(Variance::FixedLarge)));
    assert!(refuses(Loss::Mse, &network(Variance::Learned)));
    assert!(!refuses(Loss::Hybrid, &network(Variance::LearnedRange)));
    assert!(refuses(Loss::Hybrid, &network(Variance::FixedSmall)));
    assert!(refuses(Loss::Kl, &Network::edm(Edm::PAPER)));
    assert!(!refuses(Loss::Mse, &Network::flow()));
}

#[test]
fn min_snr_makes_every_prediction_learn_the_same_of_x_0() {
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let (x_0, noise, guess) = ([0.5f32, -0.25], [0.3f32, -1.2], [0.1f32, 0.2]);
    let error = (0.4f64.powi(2) + 0.45f64.powi(2)) / 2.0;
    for prediction in [Prediction::Eps, Prediction::X0, Prediction::V, Prediction::Mean] {
        let network = Network::discrete(schedule.clone(), prediction, Variance::FixedLarge);
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
            let objective = diffusion.objective();
            let got = loss(objective, &output, &x_t, &target, weights.as_deref(), None).unwrap();

            let snr = (point.alpha / point.sigma).powi(2);
            let (got, want) = (got.double_value(&[]), snr.min(5.0) * error);
            // Eps at small t is x_t − α x_0 over a small σ: it loses digits of f32.
            assert!((got / want - 1.0).abs() < 1e-3, "{prediction:?}, t {t}: {got}, {want}");
        }
    }
}
