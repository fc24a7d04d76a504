use std::collections::HashMap;
use std::f64::consts::{E, PI};

use ddpm_diffusion::{Edm, Evaluation, Schedule};

use super::*;

/// Standard deviation of the Gaussian data.
const S: f64 = 0.7;
const ITEMS: usize = 3000;

fn vectors() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/reference/diffusion_math.safetensors"
    );
    Tensor::read_safetensors(path).expect("a committed file").into_iter().collect()
}

fn variances() -> [(&'static str, Variance); 4] {
    Variance::NAMES
}

#[test]
fn terms_and_errors_of_x_0_are_those_of_the_reference() {
    let vectors = vectors();
    let double = |name: &str| vectors[name].to_kind(Element::Double);
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let timesteps = Vec::<i64>::try_from(&vectors["t"]).unwrap();
    let predictions =
        [("mean", Prediction::Mean), ("x_0", Prediction::X0), ("eps", Prediction::Eps)];
    for (name, prediction) in predictions {
        for (variance_name, variance) in &variances()[..3] {
            let network = Parameterisation::discrete(schedule.clone(), prediction, *variance);
            let mut output = double(&format!("model_out.{name}"));
            if variance.is_learned() {
                output = Tensor::cat(&[output, double("model_out.logvar")], 1);
            }
            let wanted = double(&format!("bpd_term.{name}.{variance_name}.clip1"));
            let guess = double(&format!("p_mean_var.{name}.{variance_name}.clip1.pred_x0"));
            for (i, &t) in timesteps.iter().enumerate() {
                let item = |tensor: &Tensor| tensor.narrow(0, i as i64, 1);
                let (x_0, x_t) = (item(&double("x_0")), item(&double("x_t")));
                let (t, output) = (t as usize, item(&output));
                let (bits, mse) = term(&network, Kind::Image, t, &x_0, &x_t, &output).unwrap();
                let (got, want) = (bits.double_value(&[0]), wanted.double_value(&[i as i64]));
                // The reference computes in f32; at t = 0 its bins lie in the tail of a
                // distribution function whose differences f32 cannot hold.
                let relative = if t == 0 { 5e-2 } else { 5e-5 };
                let bound = relative * want.abs() + 2e-6;
                assert!((got - want).abs() <= bound, "{name} {variance_name} {t}: {got}, {want}");
                let want = (item(&guess) - &x_0).square().mean(Element::Double).double_value(&[]);
                let got = mse.double_value(&[0]);
                assert!((got - want).abs() <= 1e-4 * want + 1e-7, "{name} {t}: {got}, {want}");
            }
        }
    }
}

#[test]
fn the_prior_term_is_that_of_the_reference() {
    let vectors = vectors();
    let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
    let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedSmall);
    let got = prior(&network, &vectors["x_0"].to_kind(Element::Double)).unwrap();
    let wanted = Vec::<f32>::try_from(&vectors["prior_bpd_fixed"]).unwrap();
    for (got, want) in Vec::<f64>::try_from(got).unwrap().into_iter().zip(wanted) {
        let want = f64::from(want);
        // f32 takes a number of 1e-5 from one of 1.
        assert!((got - want).abs() < 2e-7, "{got} for {want}");
    }
}

/// Moments of N(0, S²) at one timestep.
struct Exact {
    /// E[x_0 | x_t] = gain x_t.
    gain: f64,
    /// Var[x_0 | x_t].
    variance: f64,
    /// Of x_{t−1} given x_t: its variance, and the weight of x_0 in its mean.
    reverse: f64,
    of_x_0: f64,
    ln_posterior: f64,
    posterior: f64,
}

impl Exact {
    fn at(schedule: &Schedule, t: usize) -> Self {
        let alphas_cumprod = schedule.alphas_cumprod()[t];
        let total = alphas_cumprod * S * S + 1.0 - alphas_cumprod;
        let variance = S * S * (1.0 - alphas_cumprod) / total;
        let (of_x_0, _) = schedule.posterior_mean_coefficients(t);
        let posterior = schedule.posterior_variance(t);
        Self {
            gain: alphas_cumprod.sqrt() * S * S / total,
            variance,
            reverse: posterior + of_x_0 * of_x_0 * variance,
            of_x_0,
            ln_posterior: schedule.posterior_log_variance_clipped(t),
            posterior,
        }
    }

    /// Returns the log-variance of the network's reverse step.
    fn ln_variance(&self, network: &Parameterisation, schedule: &Schedule, t: usize) -> f64 {
        match network.variance {
            Variance::FixedSmall => self.ln_posterior,
            Variance::FixedLarge => schedule.fixed_large_log_variance(t),
            Variance::Learned | Variance::LearnedRange => self.reverse.ln(),
        }
    }

    /// Computes the term in bits per dimension, averaged over data and noise, and its spread over
    /// one draw.
    fn term(&self, ln_variance: f64, t: usize) -> (f64, f64) {
        let v = ln_variance.exp();
        let off = self.of_x_0 * self.of_x_0 * self.variance;
        let nats = if t == 0 {
            0.5 * ((2.0 * PI).ln() + ln_variance + off / v)
        } else {
            0.5 * (ln_variance - self.ln_posterior - 1.0 + (self.posterior + off) / v)
        };
        (nats / LN_2, 2.0_f64.sqrt() * 0.5 * off / v / LN_2)
    }
}

/// Computes the output of the exact network: its prediction, and the log-variance as it would learn
/// it.
fn exact_output(
    network: &Parameterisation,
    schedule: &Schedule,
    t: usize,
    x_t: &[f32],
) -> Vec<f32> {
    let exact = Exact::at(schedule, t);
    let point = network.process.at_timestep(t as f64).unwrap();
    let Evaluation { p_u, p_f, .. } = network.at(&point).unwrap();
    let raw = match network.variance {
        Variance::FixedSmall | Variance::FixedLarge => None,
        Variance::Learned => Some(exact.reverse.ln()),
        Variance::LearnedRange => {
            let width = schedule.betas()[t].ln() - exact.ln_posterior;
            Some(2.0 * (exact.reverse.ln() - exact.ln_posterior) / width - 1.0)
        }
    };
    let output = |x: &[f32]| -> Vec<f32> {
        let prediction = x.iter().map(|&x| {
            let x = f64::from(x);
            ((exact.gain * x - p_u * x) / p_f) as f32
        });
        prediction.chain(raw.into_iter().flat_map(|raw| [raw as f32; 2])).collect()
    };
    x_t.chunks_exact(2).flat_map(output).collect()
}

fn gaussian_data() -> Vec<f32> {
    let mut x_0 = vec![0.0_f32; 2 * ITEMS];
    Noise::new(99).normal(0, 0, &mut x_0);
    x_0.iter().map(|z| z * S as f32).collect()
}

fn bound_of_gaussian_data(network: &Parameterisation, schedule: &Schedule) -> Bound {
    let x_0 = gaussian_data();
    let items = BoundItems {
        x_0: &x_0,
        shape: &[2],
        labels: None,
        kind: Kind::Points2d,
        seed: 5,
        batch: 1000,
    };
    let evaluate = |x_t: &[f32], t: &[f32], _: Option<&[i64]>| {
        Ok::<_, EvaluateError>(exact_output(network, schedule, t[0] as usize, x_t))
    };
    bound(network, &items, evaluate, || ()).unwrap()
}

#[test]
fn the_exact_network_of_gaussian_data_has_the_bits_of_the_formula() {
    let schedule = Schedule::linear(12, 1e-2, 0.7).unwrap();
    let predictions = [Prediction::Eps, Prediction::X0, Prediction::V, Prediction::Mean];
    let draws = (2.0 * ITEMS as f64).sqrt();
    for prediction in predictions {
        for (name, variance) in variances() {
            let network = Parameterisation::discrete(schedule.clone(), prediction, variance);
            let got = bound_of_gaussian_data(&network, &schedule);
            for t in 0..schedule.timesteps() {
                let exact = Exact::at(&schedule, t);
                let (want, spread) = exact.term(exact.ln_variance(&network, &schedule, t), t);
                let off = (got.terms[t] - want).abs();
                // f32 outputs, times 1/variance of the posterior.
                let bound = 5.0 * spread / draws + 1e-5;
                assert!(off < bound, "{prediction} {name} {t}: {} for {want}", got.terms[t]);
                let bound = 5.0 * 2.0_f64.sqrt() * exact.variance / draws;
                assert!((got.mse[t] - exact.variance).abs() < bound, "{prediction} {name} {t}");
            }
        }
    }
}

#[test]
fn with_the_exact_variance_the_bound_is_the_entropy_and_what_the_prior_lacks() {
    let schedule = Schedule::linear(12, 1e-2, 0.7).unwrap();
    let network = Parameterisation::discrete(schedule.clone(), Prediction::V, Variance::Learned);
    let got = bound_of_gaussian_data(&network, &schedule);
    let last = schedule.alphas_cumprod()[11];
    let end = last * S * S + 1.0 - last;
    let lacking = 0.5 * (end - 1.0 - end.ln());
    let want = (0.5 * (2.0 * PI * E * S * S).ln() + lacking) / LN_2;
    let error = got.standard_error.unwrap();
    assert!(error < 0.03, "{error}");
    assert!((got.total - want).abs() < 4.0 * error, "{} for {want} ± {error}", got.total);
}

#[test]
fn the_curve_runs_from_the_prior_to_the_total_and_ends_without_distortion() {
    let schedule = Schedule::linear(12, 1e-2, 0.7).unwrap();
    let network =
        Parameterisation::discrete(schedule.clone(), Prediction::Eps, Variance::FixedSmall);
    let Bound { items, total, prior, terms, mse, curve, .. } =
        bound_of_gaussian_data(&network, &schedule);
    assert_eq!((items, curve.len()), (ITEMS, 13));
    assert_eq!((curve[0].t, curve[0].rate), (Some(11), prior));
    assert_eq!(curve[3].distortion, mse[8].sqrt());
    assert!((curve[3].rate - prior - terms[9..].iter().sum::<f64>()).abs() < 1e-12);
    let end = curve[12];
    assert_eq!((end.t, end.distortion), (None, 0.0));
    assert!((end.rate - total).abs() < 1e-9);
    let pictures = super::curve(Kind::Image, 0.5, &[1.0], &[4.0]);
    assert_eq!((pictures[0].distortion, pictures[1].rate), (255.0, 1.5));
}

#[test]
fn batches_change_nothing_and_labels_reach_the_network() {
    let schedule = Schedule::linear(3, 1e-2, 0.7).unwrap();
    let network =
        Parameterisation::discrete(schedule.clone(), Prediction::X0, Variance::FixedLarge);
    let (x_0, labels) = (gaussian_data(), [3, 1, 4, 1, 5]);
    let total = |batch| {
        let mut seen = Vec::new();
        let items = BoundItems {
            x_0: &x_0[..10],
            shape: &[2],
            labels: Some(&labels),
            kind: Kind::Points2d,
            seed: 5,
            batch,
        };
        let evaluate = |x_t: &[f32], t: &[f32], labels: Option<&[i64]>| {
            if t[0] == 2.0 {
                seen.extend_from_slice(labels.unwrap());
            }
            Ok::<_, EvaluateError>(exact_output(&network, &schedule, t[0] as usize, x_t))
        };
        let bound = bound(&network, &items, evaluate, || ()).unwrap();
        assert_eq!(seen, labels);
        bound.total
    };
    assert!((total(2) - total(5)).abs() < 1e-12);
}

#[test]
fn networks_without_timesteps_have_no_such_bound() {
    let edm = Parameterisation::edm(Edm::PAPER);
    let items = BoundItems {
        x_0: &[0.0; 2],
        shape: &[2],
        labels: None,
        kind: Kind::Points2d,
        seed: 0,
        batch: 1,
    };
    let evaluate = |_: &[f32], _: &[f32], _: Option<&[i64]>| -> Result<Vec<f32>, EvaluateError> {
        unreachable!("it is refused before")
    };
    let refusal = bound(&edm, &items, evaluate, || ()).unwrap_err().to_string();
    assert!(refusal.contains("networks on timesteps"), "{refusal}");
}
