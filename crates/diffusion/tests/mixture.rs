//! Samples of a mixture of Gaussians by every family of samplers that walks down.
//!
//! `consistency` and `lcm` jump by the flow of the data, which is known for one
//! Gaussian only, and learned variances by a posterior that is one: `gaussian.rs` has
//! these, exactly.
//!
//! The network is exact and so is the distribution function of the data: Rosenblatt's
//! transform makes right samples uniform on the unit square. Seeds are fixed. The
//! chance that a right sampler fails any test here is 1e-6.
//! `docs/samplers/distribution.md` has the statistics.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use ddpm_diffusion::{Evals, GridSpec, Guidance, Parameterisation, Program, Recipe, Row};

use common::{
    Component, Mixture, Perfect, Run, Table, chi_square, chi_square_tail, document,
    kolmogorov_smirnov, predictions,
};

/// Samples that are tested.
const COUNT: usize = 20_480;

/// Samples that the bias is measured with.
const MANY: usize = 10 * COUNT;

/// Cells of the χ² test along each axis of the unit square.
const SIDE: usize = 8;

/// Of a false alarm in any of the tests of this file.
const ALARM: f64 = 1e-6;

/// Three modes of different weight and shape, with mean 0.
fn data() -> Mixture {
    let one = |weight, mean, variance, covariance| Component { weight, mean, variance, covariance };
    Mixture {
        components: vec![
            one(0.5, [-0.9, 0.4], [0.16, 0.16], 0.0),
            one(0.3, [0.9, 0.6], [0.2, 0.12], 0.06),
            one(0.2, [0.9, -1.9], [0.09, 0.25], -0.05),
        ],
    }
}

/// A sampler with a network and steps; the sigmas are those of its own grid.
struct Case {
    sampler: &'static str,
    /// Of [`predictions`].
    network: usize,
    grid: &'static str,
    steps: usize,
}

const fn case(sampler: &'static str, network: usize, grid: &'static str, steps: usize) -> Case {
    Case { sampler, network, grid, steps }
}

const EPS: usize = 0;
const X_0: usize = 1;
const V: usize = 2;
const EDM: usize = 3;
const FLOW: usize = 4;

const CASES: [Case; 24] = [
    case("ddpm", EPS, "karras", 900),
    case("ddpm:variance=fixed-large", X_0, "karras", 600),
    case("ddim", V, "karras", 400),
    case("ddim:eta=1", V, "karras", 900),
    case("euler", EDM, "karras", 500),
    case("euler-ancestral", EDM, "karras", 900),
    case("heun", EPS, "karras", 70),
    case("edm-heun:s-noise=1", EDM, "karras", 150),
    case("dpm++", EPS, "karras", 80),
    case("dpm++:order=3", V, "karras", 60),
    case("dpm++-3-corrected", EDM, "karras", 50),
    case("sde-dpm++", EDM, "karras", 100),
    case("unipc", X_0, "karras", 40),
    case("deis", EPS, "karras", 50),
    case("ipndm", EDM, "karras", 50),
    case("lms", EDM, "karras", 60),
    case("restart:t-min=0.3,t-max=1,steps=10", EDM, "karras", 50),
    case("flow-euler", FLOW, "flow", 400),
    case("pndm", EDM, "karras", 50),
    case("dpm2", EPS, "karras", 70),
    case("dpm2-ancestral", EDM, "karras", 100),
    case("dpm++2s-ancestral", V, "karras", 100),
    case("sa-solver", V, "karras", 100),
    case("sa-solver:predictor-order=3,corrector-order=4,tau=0.5", EDM, "karras", 60),
];

fn compile(case: &Case, network: &Parameterisation, guidance: Option<Guidance>) -> Program {
    let recipe = Recipe::new(case.sampler.parse().unwrap(), network);
    let grid: GridSpec = case.grid.parse().unwrap();
    Recipe { grid, num_steps: case.steps, guidance, ..recipe }.compile(network).unwrap()
}

/// What is computed of samples `[n, 2]`: χ² with its degrees of freedom, and p of it
/// and of three KS tests, of both uniform coordinates and of a slanted projection.
struct Statistics {
    chi_square: f64,
    p: [f64; 4],
}

const DEGREES: usize = SIDE * SIDE - 1;

impl Statistics {
    fn of(samples: &[f64], data: &Mixture) -> Self {
        let points = samples.chunks_exact(2);
        let uniform: Vec<[f64; 2]> = points.clone().map(|x| data.to_uniform(x)).collect();
        let (cos, sin) = (0.6, 0.8);
        let slanted = points.map(|x| data.projected_cdf([cos, sin], cos * x[0] + sin * x[1]));
        // The square's cells in a row: which strip, and where in it.
        let strip = |value: f64| (value * SIDE as f64).floor().min(SIDE as f64 - 1.0);
        let in_a_row = |[a, b]: &[f64; 2]| (strip(*a) + b) / SIDE as f64;
        let cells: Vec<f64> = uniform.iter().map(in_a_row).collect();
        let chi_square = chi_square(&cells, SIDE * SIDE);
        let axis = |k: usize| kolmogorov_smirnov(uniform.iter().map(|u| u[k]).collect()).1;
        let slanted = kolmogorov_smirnov(slanted.collect()).1;
        Self { chi_square, p: [chi_square_tail(chi_square, DEGREES), axis(0), axis(1), slanted] }
    }

    fn least(&self) -> f64 {
        self.p.iter().copied().fold(1.0, f64::min)
    }
}

/// The bias in units of the sampling error, of a cell and of [`COUNT`] samples: with
/// n samples χ² has the mean DEGREES (1 + n/COUNT bias²). And the error of its square.
fn bias(many: &[f64], data: &Mixture) -> (f64, f64) {
    let times = (many.len() / 2) as f64 / COUNT as f64;
    let excess = Statistics::of(many, data).chi_square / DEGREES as f64 - 1.0;
    ((excess / times).max(0.0).sqrt(), (2.0 / DEGREES as f64).sqrt() / times)
}

/// Tests of this file that may raise a false alarm: four of each case and of each of
/// the two with labels.
const TESTS: usize = 4 * (CASES.len() + 2);

/// Whether samples are those of other data, at a false-alarm rate of [`ALARM`] in all.
fn alarm(statistics: &Statistics) -> bool {
    statistics.least() < ALARM / TESTS as f64
}

#[test]
fn samples_have_the_distribution_of_the_data() {
    let head =
        [":sampler", ":network", "rows", "χ² of 63", "least p of 4", "bias / sampling error"];
    let mut table = Table::new(&head);
    for (seed, case) in CASES.iter().enumerate() {
        let network = &predictions()[case.network];
        let program = compile(case, network, None);
        let perfect = Perfect::new(network, &data());
        let run = Run { program: &program, network: &perfect, seed: seed as u64, known: None };
        let many = run.samples(MANY);
        let few = Statistics::of(&many[..2 * COUNT], &data());
        let (bias, error) = bias(&many, &data());
        table.row(&[
            format!("`{}`", case.sampler),
            network.prediction.to_string(),
            program.rows().len().to_string(),
            format!("{:.1}", few.chi_square),
            format!("{:.1e}", few.least()),
            format!("{bias:.2}"),
        ]);
        assert!(!alarm(&few), "{}: {:.1}, {:?}", case.sampler, few.chi_square, few.p);
        // Two standard errors below a third.
        assert!(bias * bias + 2.0 * error < 1.0 / 9.0, "{}: bias {bias}", case.sampler);
    }
    document("distribution.md", "mixture", &table);
}

#[test]
fn guidance_1_has_the_distribution_of_the_label_and_0_that_of_all_data() {
    let modes = data().components;
    let (of_label, rest) = (modes[1..].to_vec(), 0.5);
    let weighted = |one: Component| Component { weight: one.weight / rest, ..one };
    let label = Mixture { components: of_label.into_iter().map(weighted).collect() };
    let network = &predictions()[EPS];
    let both = Perfect { data: [label.clone(), data()], ..Perfect::new(network, &label) };
    let case = case("dpm++", EPS, "karras", 80);
    for (scale, want) in [(1.0, &label), (0.0, &data())] {
        // A guidance of 1 or 0 costs one eval; here both are made, and weighted.
        let program = compile(&case, network, Some(Guidance::everywhere(2.0)));
        let both_evals = |mut row: Row| {
            row.evals = Evals::Guided { scale };
            row
        };
        let program = Program::new(program.rows().iter().cloned().map(both_evals).collect());
        let program = program.unwrap();
        let run = Run { program: &program, network: &both, seed: 100, known: None };
        let got = Statistics::of(&run.samples(COUNT), want);
        assert!(!alarm(&got), "{scale}: {:.1}, {:?}", got.chi_square, got.p);
    }
}

#[test]
fn a_noise_estimate_that_is_one_percent_too_large_raises_the_alarm() {
    let network = &predictions()[EPS];
    let case = case("dpm++", EPS, "karras", 80);
    let program = compile(&case, network, None);
    let wrong = Perfect { eps_scale: 1.01, ..Perfect::new(network, &data()) };
    let run = Run { program: &program, network: &wrong, seed: 8, known: None };
    let got = Statistics::of(&run.samples(COUNT), &data());
    // χ² is 182 where 63 is expected: p = 2e-13. Two percent make it 617.
    assert!(alarm(&got), "χ² is {:.1}, p {:?}", got.chi_square, got.p);
}
