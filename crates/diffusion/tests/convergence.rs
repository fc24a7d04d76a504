//! The order of every deterministic sampler, on a problem whose solution is known.
//!
//! The data is a correlated Gaussian, the network is exact, so the probability-flow
//! ODE has a closed solution. The error at the end of the grid is measured while
//! steps are halved; `docs/samplers/convergence.md` has the tables and says why some
//! solvers are below their claim.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use ddpm_diffusion::{
    Grid, GridSpec, Kernel, Noise, Parameterisation, Program, Recipe, Sampler, Start, State,
};

use common::{Mixture, Perfect, Sample, Table, document, predictions};

/// Largest and least σ/α of the grids in λ and in ρ; far from the ends of the
/// networks, so timesteps are never clamped.
const IN_LAMBDA: (f64, f64) = (5.0, 0.1);
const IN_RHO: (f64, f64) = (2.0, 0.2);

/// Steps, halved again and again.
const STEPS: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];

/// How far a measured order may be from the order of the formula.
const SLACK: f64 = 0.15;

/// What the steps are equal in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Even {
    Lambda,
    Rho,
}

/// A solver, the order that its paper or name claims, and the order that its formula
/// has on this grid, with the history started from the exact solution and as usual.
struct Case {
    sampler: &'static str,
    even: Even,
    claimed: usize,
    exact_start: f64,
    usual_start: f64,
}

const fn case(sampler: &'static str, even: Even, claimed: usize, orders: [f64; 2]) -> Case {
    Case { sampler, even, claimed, exact_start: orders[0], usual_start: orders[1] }
}

const CASES: [Case; 53] = [
    case("ddim", Even::Lambda, 1, [1.0, 1.0]),
    case("ddim", Even::Rho, 1, [1.0, 1.0]),
    case("euler", Even::Rho, 1, [1.0, 1.0]),
    case("flow-euler", Even::Rho, 1, [1.0, 1.0]),
    case("heun", Even::Rho, 2, [2.0, 2.0]),
    case("heun", Even::Lambda, 2, [2.0, 2.0]),
    case("edm-heun:s-churn=0", Even::Rho, 2, [2.0, 2.0]),
    case("dpm2", Even::Lambda, 2, [2.0, 2.0]),
    case("dpm2", Even::Rho, 2, [2.0, 2.0]),
    case("dpm2-ancestral:eta=0", Even::Lambda, 2, [2.0, 2.0]),
    case("dpm++:order=1", Even::Lambda, 1, [1.0, 1.0]),
    case("dpm++:order=2", Even::Lambda, 2, [2.0, 2.0]),
    case("dpm++:order=2,form=heun", Even::Lambda, 2, [2.0, 2.0]),
    case("dpm++:order=3", Even::Lambda, 3, [2.0, 2.0]),
    case("dpm++:order=3,form=heun", Even::Lambda, 3, [2.0, 2.0]),
    case("dpm++-3-corrected", Even::Lambda, 3, [3.0, 2.0]),
    case("dpm++-3-corrected", Even::Rho, 3, [3.0, 2.0]),
    case("dpm++2s-ancestral:eta=0", Even::Lambda, 2, [2.0, 2.0]),
    case("dpm++2s-ancestral:eta=0", Even::Rho, 2, [2.0, 2.0]),
    case("unipc:order=1,variant=bh1", Even::Lambda, 2, [2.0, 2.0]),
    case("unipc:order=1,variant=bh2", Even::Lambda, 2, [2.0, 2.0]),
    case("unipc:order=2,variant=bh1", Even::Lambda, 3, [3.0, 3.0]),
    case("unipc:order=2,variant=bh2", Even::Lambda, 3, [3.0, 3.0]),
    case("unipc:order=3,variant=bh1", Even::Lambda, 4, [4.0, 3.0]),
    case("unipc:order=3,variant=bh2", Even::Lambda, 4, [4.0, 3.0]),
    case("unipc:order=3,variant=bh2", Even::Rho, 4, [4.0, 3.0]),
    case("sa-solver:predictor-order=1,corrector-order=0,tau=0", Even::Lambda, 1, [1.0, 1.0]),
    case("sa-solver:predictor-order=2,corrector-order=0,tau=0", Even::Lambda, 2, [2.0, 2.0]),
    case("sa-solver:predictor-order=3,corrector-order=0,tau=0", Even::Lambda, 3, [3.0, 2.0]),
    case("sa-solver:predictor-order=1,corrector-order=1,tau=0", Even::Lambda, 1, [1.0, 1.0]),
    case("sa-solver:predictor-order=1,corrector-order=2,tau=0", Even::Lambda, 2, [2.0, 2.0]),
    case("sa-solver:tau=0", Even::Lambda, 2, [2.0, 2.0]),
    case("sa-solver:corrector-order=3,tau=0", Even::Lambda, 3, [3.0, 3.0]),
    case("sa-solver:predictor-order=3,corrector-order=3,tau=0", Even::Lambda, 3, [3.0, 3.0]),
    case("sa-solver:predictor-order=3,corrector-order=4,tau=0", Even::Rho, 4, [4.0, 3.0]),
    case("deis:order=1", Even::Lambda, 1, [1.0, 1.0]),
    case("deis:order=2", Even::Lambda, 2, [2.0, 2.0]),
    case("deis:order=3", Even::Lambda, 3, [3.0, 2.0]),
    case("deis:order=3", Even::Rho, 3, [3.0, 2.0]),
    case("lms:order=1", Even::Rho, 1, [1.0, 1.0]),
    case("lms:order=2", Even::Rho, 2, [2.0, 2.0]),
    case("lms:order=3", Even::Rho, 3, [3.0, 2.0]),
    case("lms:order=4", Even::Rho, 4, [4.0, 2.0]),
    case("lms:order=4", Even::Lambda, 4, [4.0, 2.0]),
    case("ipndm:order=1", Even::Rho, 1, [1.0, 1.0]),
    case("ipndm:order=2", Even::Rho, 2, [2.0, 2.0]),
    case("ipndm:order=3", Even::Rho, 3, [3.0, 2.0]),
    case("ipndm:order=4", Even::Rho, 4, [4.0, 2.0]),
    case("ipndm:order=2", Even::Lambda, 2, [2.0, 2.0]),
    case("ipndm:order=3", Even::Lambda, 3, [2.0, 2.0]),
    case("ipndm:order=4", Even::Lambda, 4, [2.0, 2.0]),
    case("pndm", Even::Rho, 4, [4.0, 3.0]),
    case("pndm", Even::Lambda, 4, [2.0, 2.0]),
];

fn data() -> Mixture {
    Mixture::gaussian([0.3, -0.6], [0.25, 0.09], 0.1)
}

/// A program on `steps` equal steps, and its grid.
fn compile(sampler: &str, network: &Parameterisation, even: Even, steps: usize) -> (Program, Grid) {
    let (high, low) = if even == Even::Lambda { IN_LAMBDA } else { IN_RHO };
    let sigma = |k: usize| {
        let along = k as f64 / steps as f64;
        match even {
            Even::Lambda => high * (low / high).powf(along),
            Even::Rho => high + (low - high) * along,
        }
    };
    let spec = GridSpec::Sigmas((0..=steps).map(sigma).collect());
    let grid = spec.grid(&network.process, steps).unwrap();
    let sampler: Sampler = sampler.parse().unwrap();
    let recipe = Recipe::new(sampler, network);
    let recipe = Recipe { grid: spec, num_steps: steps, start: Start::State, ..recipe };
    (recipe.compile(network).unwrap(), grid)
}

/// α, σ and the exact solution at each point of a grid, from a point that is two
/// standard deviations out.
fn solution(grid: &Grid) -> Vec<((f64, f64), Vec<f64>)> {
    let points = grid.points().iter().copied().chain([grid.end()]);
    let places: Vec<(f64, f64)> = points.map(|point| (point.alpha, point.sigma)).collect();
    let start = places[0];
    let spread = start.0.hypot(start.1);
    let x = [1.6 * spread, -1.2 * spread];
    places.into_iter().map(|place| (place, data().flow(start, place, &x))).collect()
}

/// The largest error of x/α at the end.
///
/// * `exact`: steps after which the state is set to the exact solution, so that the
///   history is that of the exact solution too.
fn error(sampler: &str, network: &Parameterisation, even: Even, steps: usize, exact: usize) -> f64 {
    let (program, grid) = compile(sampler, network, even, steps);
    let solution = solution(&grid);
    let perfect = Perfect::new(network, &data());
    let mut sample = Sample::at(&solution[0].1);
    for row in program.rows() {
        let outputs = perfect.outputs(row, &sample.u);
        sample.apply(row, &outputs, &[0.0; 2]);
        let step = row.label.step as usize;
        if row.label.ends_step && step <= exact {
            // UniPC's anchor is the corrected state one point before. SA-Solver corrects u, which
            // moves it by no more than the error of one step.
            sample.u.clone_from(&solution[step].1);
            sample.y.clone_from(&solution[step - 1].1);
        }
    }
    let ((alpha, _), end) = &solution[steps];
    let off = sample.u.iter().zip(end).map(|(got, want)| (got - want).abs() / alpha);
    off.fold(0.0, f64::max)
}

/// Errors for all of [`STEPS`], and the order by the last halvings.
fn measure(case: &Case, network: &Parameterisation, exact: usize) -> ([f64; STEPS.len()], f64) {
    let errors = STEPS.map(|steps| error(case.sampler, network, case.even, steps, exact));
    let [.., before, _, last] = errors;
    (errors, (before / last).log2() / 2.0)
}

#[test]
fn every_solver_has_its_order() {
    let network = &predictions()[0];
    let mut table = Table::new(&[
        ":sampler",
        ":equal steps in",
        "claimed order",
        "exact start",
        "usual start",
        "error at 64 steps, exact start",
        "usual start",
    ]);
    let mut wrong = Vec::new();
    for case in &CASES {
        let (exact_errors, exact) = measure(case, network, case.claimed);
        let (usual_errors, usual) = measure(case, network, 0);
        let even = if case.even == Even::Lambda { "λ" } else { "ρ" };
        table.row(&[
            format!("`{}`", case.sampler),
            even.into(),
            case.claimed.to_string(),
            format!("{exact:.2}"),
            format!("{usual:.2}"),
            format!("{:.1e}", exact_errors[2]),
            format!("{:.1e}", usual_errors[2]),
        ]);
        let mut check = |start: &str, measured: f64, meant: f64, below: f64, above: f64| {
            if !(meant - below..meant + above).contains(&measured) {
                wrong.push(format!("{} in {even}, {start}: {measured}, not {meant}", case.sampler));
            }
        };
        check("exact start", exact, case.exact_start, SLACK, SLACK);
        // Two errors of different orders are in it, so it is still on its way from the
        // order of the exact start, which it cannot exceed.
        let above = case.exact_start - case.usual_start + SLACK;
        check("usual start", usual, case.usual_start, 2.0 * SLACK, above);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    document("convergence.md", "orders", &table);
}

#[test]
fn the_result_is_the_same_whatever_the_network_predicts() {
    for case in &CASES {
        let errors = predictions().map(|network| error(case.sampler, &network, case.even, 32, 0));
        for other in errors {
            let off = (other - errors[0]).abs();
            assert!(off < 1e-9, "{}: {errors:?}", case.sampler);
        }
    }
}

#[test]
fn the_interpreter_of_these_tests_is_the_kernel() {
    let network = &predictions()[0];
    let perfect = Perfect::new(network, &data());
    let noise = Noise::new(3);
    let stochastic = [
        "ddpm",
        "ddim:eta=1",
        "dpm2-ancestral",
        "sde-dpm++",
        "dpm++2s-ancestral",
        "sa-solver:predictor-order=3,corrector-order=4",
        "edm-heun",
        "restart:t-min=1,t-max=3",
    ];
    for sampler in CASES.iter().map(|case| case.sampler).chain(stochastic) {
        let recipe = Recipe::new(sampler.parse().unwrap(), network);
        let grid = GridSpec::Exponential;
        let recipe = Recipe { grid, num_steps: 12, start: Start::State, ..recipe };
        let program = recipe.compile(network).unwrap();
        let mut sample = Sample::at(&[0.7, -1.3]);
        let mut state = State::from_point(&program, sample.u.clone());
        let mut kernel = Kernel::new(2);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = perfect.outputs(row, state.u());
            let mut z = [0.0; 2];
            noise.normal(5, position as u32 + 1, &mut z);
            sample.apply(row, &outputs, &z);
            let outputs: Vec<&[f64]> = outputs.iter().map(Vec::as_slice).collect();
            kernel.advance(row, position, &mut state, &outputs, &noise, 5, None);
            for (ours, kernels) in sample.u.iter().zip(state.u()) {
                assert!((ours - kernels).abs() < 1e-11, "{sampler}, row {position}");
            }
        }
    }
}
