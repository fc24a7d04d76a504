//! Gaussian data: mean and covariance of every sampler, exactly.
//!
//! With the exact network of a Gaussian each row is affine, so the moments of its
//! samples follow without a sample being drawn. `docs/samplers/distribution.md` has
//! the tables.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use ddpm_diffusion::{
    GridSpec, Guidance, Parameterisation, Prediction, Program, RawVariance, Recipe, Row, Schedule,
    Start, Variance,
};

use common::{Mixture, Moments, Perfect, Table, document, from_pure_noise, predictions};

/// Mean, variances and covariance of the data.
const MEAN: [f64; 2] = [0.3, -0.6];
const VARIANCE: [f64; 2] = [0.25, 0.09];
const COVARIANCE: f64 = 0.1;

fn data() -> Mixture {
    Mixture::gaussian(MEAN, VARIANCE, COVARIANCE)
}

fn no_spread(_: usize) -> [f64; 2] {
    [1.0; 2]
}

/// Errors of mean and covariance: the mean's in standard deviations of its
/// coordinate, the covariance's in those products of them that it is part of.
fn errors(got: &Moments, alpha: f64, want: &Mixture) -> (f64, f64) {
    let one = &want.components[0];
    let [v, w] = one.variance;
    let (mean, covariance) = (got.mean(), got.covariance());
    let of_mean = |i: usize| (mean[i] / alpha - one.mean[i]).abs() / one.variance[i].sqrt();
    let wanted = [(v, v), (w, w), (one.covariance, (v * w).sqrt())];
    let of_covariance = covariance
        .iter()
        .zip(wanted)
        .map(|(got, (want, scale))| (got / (alpha * alpha) - want).abs() / scale);
    (of_mean(0).max(of_mean(1)), of_covariance.fold(0.0, f64::max))
}

/// The moments at σ/α = 0.1 of a run on a grid even in λ from σ/α = 5, from the exact
/// moments there: what is left is the error of the steps alone.
fn discretisation(sampler: &str, network: &Parameterisation, steps: usize) -> (f64, f64) {
    let (high, low): (f64, f64) = (5.0, 0.1);
    let sigma = |k: usize| high * (low / high).powf(k as f64 / steps as f64);
    let spec = GridSpec::Sigmas((0..=steps).map(sigma).chain([0.0]).collect());
    let points = spec.grid(&network.process, steps + 1).unwrap();
    let (first, end) = (points.points()[0], points.points()[steps]);
    let recipe = Recipe::new(sampler.parse().unwrap(), network);
    let recipe = Recipe { grid: spec, num_steps: steps + 1, start: Start::State, ..recipe };
    let program = without_last_step(&recipe.compile(network).unwrap());

    let start = data().noised(first.alpha, first.sigma).components[0];
    let perfect = Perfect::new(network, &data());
    let moments = Moments::start(start.mean, start.variance, start.covariance);
    let moments = moments.run(&program, |row, u| perfect.outputs(row, u), no_spread);
    errors(&moments, end.alpha, &data().noised(1.0, end.rho()))
}

/// Rows may not end with noise, but here the step to the data is left out.
fn without_last_step(program: &Program) -> Vec<Row> {
    let steps = program.num_steps();
    program.rows().iter().filter(|row| row.label.step < steps).cloned().collect()
}

const STEPS: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];

/// Samplers and their weak orders. `{}` is a sixteenth of the steps.
const WEAK: [(&str, f64); 28] = [
    ("ddpm:variance=fixed-small", 1.0),
    ("ddpm:variance=fixed-large", 1.0),
    ("ddim:eta=0.5", 1.0),
    ("ddim:eta=1", 1.0),
    ("euler-ancestral", 1.0),
    ("euler-ancestral:eta=0.5", 1.0),
    ("dpm2-ancestral", 2.0),
    ("dpm2-ancestral:eta=0.5", 2.0),
    ("sde-dpm++:order=1", 1.0),
    ("sde-dpm++:order=2", 2.0),
    ("sde-dpm++:order=2,form=heun", 2.0),
    ("sde-dpm++:order=2,eta=0.5", 2.0),
    ("dpm++2s-ancestral", 2.0),
    ("dpm++2s-ancestral:eta=0.5", 2.0),
    ("sa-solver:predictor-order=1,corrector-order=0", 1.0),
    ("sa-solver:corrector-order=0", 2.0),
    ("sa-solver:predictor-order=1", 2.0),
    ("sa-solver:tau=0.5", 2.0),
    ("sa-solver:predictor-order=3,corrector-order=4", 2.0),
    ("edm-heun:s-churn=10,s-tmin=0.2,s-noise=1", 2.0),
    ("restart:t-min=0.7072,t-max=2,steps={}", 2.0),
    ("ddim", 1.0),
    ("heun", 2.0),
    ("dpm2", 2.0),
    ("dpm++:order=2", 2.0),
    ("unipc:order=2", 3.0),
    ("sa-solver:tau=0", 2.0),
    ("deis:order=3", 2.0),
];

#[test]
fn the_covariance_comes_near_with_the_weak_order_and_the_mean_is_exact() {
    let network = &predictions()[0];
    let mut table =
        Table::new(&[":sampler", "weak order", "measured", "error, 16 steps", "64", "256", "1024"]);
    for (name, order) in WEAK {
        let at = |steps: usize| {
            let sampler = name.replace("{}", &(steps / 16).to_string());
            discretisation(&sampler, network, steps)
        };
        let all = STEPS.map(at);
        let measured = (all[4].1 / all[6].1).log2() / 2.0;
        let shown = [0, 2, 4, 6].map(|k| format!("{:.1e}", all[k].1));
        let name = name.replace("{}", "n/16");
        let head = [format!("`{name}`"), order.to_string(), format!("{measured:.2}")];
        table.row(&[&head[..], &shown].concat());
        assert!((measured - order).abs() < 0.15, "{name}: {measured:.2}, not {order}");
        // α times the mean of the data is a fixed point of every row.
        assert!(all.iter().all(|(mean, _)| *mean < 1e-12), "{name}: {all:?}");
    }
    document("distribution.md", "weak orders", &table);
}

#[test]
fn the_moments_are_the_same_whatever_the_network_predicts() {
    for (name, _) in WEAK {
        // β, the variance of a forward step, is another one in other coordinates.
        if name == "ddpm:variance=fixed-large" {
            continue;
        }
        let name = name.replace("{}", "4");
        let all = predictions().map(|network| discretisation(&name, &network, 32).1);
        assert!(all.iter().all(|other| (other - all[0]).abs() < 1e-9), "{name}: {all:?}");
    }
}

/// The moments of finished samples, from noise on the sampler's own grid.
fn finished(sampler: &str, network: &Parameterisation, steps: usize) -> (f64, f64) {
    let recipe = Recipe::new(sampler.parse().unwrap(), network);
    let program = Recipe { num_steps: steps, ..recipe }.compile(network).unwrap();
    let perfect = Perfect::new(network, &data());
    let moments = Moments::start([0.0; 2], [1.0; 2], 0.0);
    let moments = moments.run(program.rows(), |row, u| perfect.outputs(row, u), no_spread);
    errors(&moments, 1.0, &data())
}

/// Samplers as they are used.
const FINISHED: [&str; 21] = [
    "ddpm:variance=fixed-small",
    "ddpm:variance=fixed-large",
    "ddim",
    "ddim:eta=1",
    "euler-ancestral",
    "dpm2-ancestral",
    "sde-dpm++",
    "dpm++2s-ancestral",
    "sa-solver",
    "sa-solver:predictor-order=3,corrector-order=4,tau=0.5",
    "edm-heun:s-churn=10,s-noise=1",
    "restart:t-min=0.4,t-max=1,steps=20",
    "heun",
    "dpm2",
    "dpm++",
    "dpm++:order=3",
    "unipc",
    "deis",
    "ipndm",
    "pndm",
    "lms",
];

#[test]
fn finished_samples_come_near_the_data_as_steps_grow() {
    const COUNTS: [usize; 4] = [10, 50, 250, 1000];
    // What is left with any number of steps: x_T is N(0, 1), not quite noised data, and
    // the last jump is from the least noise.
    const LEFT: f64 = 2e-4;
    let head = [":sampler", ":network", "10 steps", "50", "250", "1000", "mean, 1000"];
    let mut table = Table::new(&head);
    let [eps, _, _, edm, _] = predictions();
    for (network, what) in [(&eps, "eps, trailing"), (&edm, "EDM, Karras")] {
        for name in FINISHED {
            let all = COUNTS.map(|steps| finished(name, network, steps));
            let shown = all.map(|(_, covariance)| format!("{covariance:.1e}"));
            let (head, mean) = ([format!("`{name}`"), what.into()], format!("{:.1e}", all[3].0));
            table.row(&[&head[..], &shown, &[mean]].concat());
            let falls = all.windows(2).all(|pair| pair[1].1 < (0.9 * pair[0].1).max(LEFT));
            assert!(falls, "{name}, {what}: {all:?}");
            assert!(all[3].0 < 6e-3 && all[3].1 < 0.025, "{name}, {what}: {all:?}");
        }
    }
    document("distribution.md", "finished", &table);
}

#[test]
fn from_pure_noise_every_sampler_comes_near_the_data_and_has_its_mean() {
    const COUNTS: [usize; 3] = [10, 50, 250];
    for network in from_pure_noise() {
        for name in FINISHED {
            let all = COUNTS.map(|steps| finished(name, &network, steps));
            let what = format!("{name}, {} of {:?}: {all:?}", network.prediction, COUNTS);
            // x_T is the data's noised distribution here, exactly.
            assert!(all.iter().all(|(mean, _)| *mean < 1e-10), "{what}");
            assert!(all.windows(2).all(|pair| pair[1].1 < 0.6 * pair[0].1), "{what}");
            assert!(all[2].1 < 0.12, "{what}");
        }
    }
}

#[test]
fn the_step_out_of_pure_noise_is_the_limit_of_those_from_less_and_less_data() {
    let network = Parameterisation::flow();
    let first_row = |sampler: &str, grid: GridSpec| {
        let recipe = Recipe::new(sampler.parse().unwrap(), &network);
        let recipe = Recipe { grid, num_steps: 3, start: Start::State, ..recipe };
        recipe.compile(&network).unwrap().rows()[0].clone()
    };
    let limits = ["ddpm", "ddim:eta=0.5", "euler", "euler-ancestral", "dpm++", "dpm++-3-corrected"];
    let more = ["sde-dpm++", "sde-dpm++:order=1,eta=0.5", "unipc", "sa-solver", "consistency"];
    for sampler in limits.into_iter().chain(more) {
        let at = first_row(sampler, GridSpec::Timesteps(vec![1000.0, 600.0, 200.0])).u;
        let near = first_row(sampler, GridSpec::Sigmas(vec![1e12, 1.5, 0.25, 0.0])).u;
        let far = difference(&at.coefficients(), &near.coefficients());
        assert!(far < 2e-6, "{sampler}: {at:?} and {near:?}");
    }
}

#[test]
fn a_shorter_chain_of_a_predicted_mean_is_that_of_the_noise() {
    let chain = |prediction| {
        let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
        Parameterisation::discrete(schedule, prediction, Variance::FixedSmall)
    };
    for steps in [1, 7, 50, 1000] {
        let [mean, eps] = [Prediction::Mean, Prediction::Eps]
            .map(|prediction| finished("ddpm", &chain(prediction), steps));
        let far = (mean.0 - eps.0).abs().max((mean.1 - eps.1).abs());
        assert!(far < 1e-8, "{steps}: {mean:?} and {eps:?}");
    }
}

fn difference(got: &[f64], want: &[f64]) -> f64 {
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max)
}

/// The exact moments at the first point of a grid.
fn marginal(data: &Mixture, alpha: f64, sigma: f64) -> Moments {
    let one = data.noised(alpha, sigma).components[0];
    Moments::start(one.mean, one.variance, one.covariance)
}

/// A sampler on the chain's own points, from a given state.
fn from_state(sampler: &str, network: &Parameterisation, steps: usize) -> (Program, (f64, f64)) {
    let recipe = Recipe::new(sampler.parse().unwrap(), network);
    let recipe = Recipe { num_steps: steps, start: Start::State, ..recipe };
    let first = recipe.grid.grid(&network.process, steps).unwrap().points()[0];
    (recipe.compile(network).unwrap(), (first.alpha, first.sigma))
}

#[test]
fn jumps_along_the_ode_to_the_data_and_back_are_exact_in_any_number_of_steps() {
    let network = &predictions()[1];
    let perfect = Perfect::new(network, &data());
    let jump = |row: &Row, u: &[f64]| vec![data().flow(perfect.place(row.t), (1.0, 0.0), u)];
    // LCM's skip connection is not quite 0: 0.25/(10 t)², 6e-8 at t = 199.
    for (sampler, tolerance) in [("consistency:sigma-min=0", 1e-12), ("lcm", 1e-6)] {
        for steps in [1, 2, 5] {
            let (program, first) = from_state(sampler, network, steps);
            let start = marginal(&data(), first.0, first.1);
            let off = errors(&start.run(program.rows(), jump, no_spread), 1.0, &data());
            assert!(off.0 < tolerance && off.1 < tolerance, "{sampler}, {steps}: {off:?}");
        }
    }
}

#[test]
fn lcm_is_refused_for_an_edm_network_which_has_no_timesteps_to_count() {
    let network = &predictions()[3];
    let refused = Recipe::new("lcm".parse().unwrap(), network).compile(network).unwrap_err();
    assert!(refused.to_string().contains("use consistency"), "{refused}");
}

#[test]
fn consistency_models_that_end_at_their_least_sigma_are_exact_there() {
    const LEAST: f64 = 0.5;
    let network = &predictions()[3];
    let perfect = Perfect::new(network, &data());
    // The output from which the shifted coefficients make the jump to LEAST, where they
    // are those of the identity.
    let output = |row: &Row, u: &[f64]| {
        let (_, sigma) = perfect.place(row.t);
        let (above, of_data) = (sigma - LEAST, 0.5);
        let c_skip = of_data * of_data / (above * above + of_data * of_data);
        let c_out = above * of_data / (sigma * sigma + of_data * of_data).sqrt();
        let jump = data().flow((1.0, sigma), (1.0, LEAST), u);
        vec![jump.iter().zip(u).map(|(jump, u)| (jump - c_skip * u) / c_out).collect()]
    };
    for sigmas in [vec![80.0, 0.0], vec![80.0, 5.0, 0.0], vec![80.0, 10.0, 2.0, 0.8, 0.0]] {
        let (first, num_steps) = (sigmas[0], sigmas.len() - 1);
        let sampler = format!("consistency:sigma-min={LEAST},precondition=consistency");
        let recipe = Recipe::new(sampler.parse().unwrap(), network);
        let grid = GridSpec::Sigmas(sigmas);
        let program = Recipe { grid, num_steps, start: Start::State, ..recipe };
        let program = program.compile(network).unwrap();
        let end = marginal(&data(), 1.0, first).run(program.rows(), output, no_spread);
        let off = errors(&end, 1.0, &data().noised(1.0, LEAST));
        assert!(off.0 < 1e-12 && off.1 < 1e-12, "{num_steps}: {off:?}");
    }
}

#[test]
fn ddpm_with_the_true_variance_is_exact_on_any_grid() {
    // With independent coordinates q(x_s given x_t) is a Gaussian with a diagonal
    // covariance, which is what learned variances can say.
    let data = Mixture::gaussian(MEAN, VARIANCE, 0.0);
    for (variance, name) in
        [(Variance::Learned, "learned"), (Variance::LearnedRange, "learned-range")]
    {
        let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
        let network = Parameterisation::discrete(schedule, Prediction::Eps, variance);
        let (program, first) = from_state(&format!("ddpm:variance={name}"), &network, 7);
        let grid = GridSpec::Trailing.grid(&network.process, 7).unwrap();
        let intervals: Vec<_> = grid.intervals().collect();
        let spread = |position: usize| {
            let (t, s) = intervals[position];
            std::array::from_fn(|i| {
                let of = |alpha: f64, sigma: f64| alpha * alpha * VARIANCE[i] + sigma * sigma;
                let (now, next) = (of(t.alpha, t.sigma), of(s.alpha, s.sigma));
                let together = t.alpha / s.alpha * next;
                let log_variance = (next - together * together / now).ln();
                match program.rows()[position].variance {
                    RawVariance::Range { ln_min, ln_max } => {
                        // The v of the network, and what the kernel makes of it.
                        let v = 2.0 * (log_variance - ln_min) / (ln_max - ln_min) - 1.0;
                        let w = (v + 1.0) / 2.0;
                        (w * ln_max / 2.0 + (1.0 - w) * ln_min / 2.0).exp()
                    }
                    _ => (log_variance / 2.0).exp(),
                }
            })
        };
        let perfect = Perfect::new(&network, &data);
        let start = marginal(&data, first.0, first.1);
        let end = start.run(program.rows(), |row, u| perfect.outputs(row, u), spread);
        let (mean, _) = errors(&end, 1.0, &data);
        assert!(mean < 1e-12, "{name}: {mean}");
        // The last step is E[x_0 given x_t], whose variance is v − Var(x_0 given x_t).
        let last = intervals[6].0;
        for (v, got) in VARIANCE.into_iter().zip(end.covariance()) {
            let noise = last.sigma.powi(2);
            let want = v - v * noise / (last.alpha.powi(2) * v + noise);
            assert!((got / want - 1.0).abs() < 1e-11, "{name}: {got} against {want}");
        }
    }
}

#[test]
fn guidance_between_gaussians_of_one_covariance_moves_the_mean_as_far_as_its_scale() {
    // E[x_0 given x] is linear in the mean, so scale w samples the Gaussian around
    // w m_label + (1 − w) m_none.
    let (label, none) = (data(), Mixture::gaussian([-0.5, 0.4], VARIANCE, COVARIANCE));
    for network in predictions() {
        for scale in [0.0, 1.0, 1.5, 7.0] {
            let mean = [0, 1].map(|i| scale * MEAN[i] + (1.0 - scale) * none.components[0].mean[i]);
            let guided = Mixture::gaussian(mean, VARIANCE, COVARIANCE);
            let alone = Perfect::new(&network, &guided);
            let both = Perfect { data: [label.clone(), none.clone()], ..alone.clone() };
            for sampler in ["dpm++", "heun", "ddim:eta=1", "unipc:order=3", "lms"] {
                let recipe = Recipe::new(sampler.parse().unwrap(), &network);
                let grid = GridSpec::Sigmas(vec![20.0, 5.0, 2.0, 0.7, 0.3, 0.1, 0.0]);
                let recipe = Recipe { grid, num_steps: 6, start: Start::State, ..recipe };
                let plain = recipe.compile(&network).unwrap();
                let guidance = Some(Guidance::everywhere(scale));
                let program = Recipe { guidance, ..recipe }.compile(&network).unwrap();
                let first = network.process.at_rho(20.0).unwrap();
                let start = || marginal(&guided, first.alpha, first.sigma);
                let want = start().run(plain.rows(), |row, u| alone.outputs(row, u), no_spread);
                let got = start().run(program.rows(), |row, u| both.outputs(row, u), no_spread);
                let means = difference(&got.mean(), &mean);
                let spread = difference(&got.covariance(), &want.covariance());
                assert!(means < 1e-11 && spread < 1e-11, "{sampler} {scale}: {means} {spread}");
            }
        }
    }
}
