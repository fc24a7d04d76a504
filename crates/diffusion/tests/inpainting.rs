//! Inpainting: one coordinate of a mixture is known, the other must follow the true
//! conditional distribution.
//!
//! No method here is exact for all data: where the unknown depends on the known, the
//! network sees the known coordinate with noise. So there are three mixtures, of which
//! each depends more; what is right must pass, and what is biased must be seen to be.
//! Seeds are fixed; the chance that a correct method fails any test is 1e-6.
//! `docs/samplers/distribution.md` has the table.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use ddpm_diffusion::{GridSpec, Inpaint, Mask, Mix, Recipe, Sampler};

use common::{
    Component, Inpainted, Mixture, Perfect, Run, Table, chi_square, chi_square_tail, document,
    kolmogorov_smirnov, predictions,
};

/// Samples of each run.
const COUNT: usize = 20_480;

/// Cells of the χ² test.
const CELLS: usize = 32;

/// Of a false alarm in any test of this file.
const ALARM: f64 = 1e-6;

/// The known coordinate.
const KNOWN: f64 = 0.35;

/// What the unknown coordinate has to do with the known one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Data {
    /// Nothing: both modes have the same first coordinate.
    Independent,
    /// It moves each mode's centre; the weights are the same everywhere.
    Correlated,
    /// It decides the weights of the modes.
    Dependent,
}

impl Data {
    fn mixture(self) -> Mixture {
        let one =
            |weight, mean, variance, covariance| Component { weight, mean, variance, covariance };
        let alike = |covariance: f64| {
            vec![
                one(0.6, [0.1, -0.7], [0.3, 0.16], covariance),
                one(0.4, [0.1, 1.1], [0.3, 0.2], -covariance),
            ]
        };
        let components = match self {
            Self::Independent => alike(0.0),
            Self::Correlated => alike(0.1),
            Self::Dependent => vec![
                one(0.5, [-0.9, 0.4], [0.16, 0.16], 0.0),
                one(0.3, [0.9, 0.6], [0.2, 0.12], 0.06),
                one(0.2, [0.9, -1.9], [0.09, 0.25], -0.05),
            ],
        };
        Mixture { components }
    }
}

/// A method on data, and whether it must match the true conditional.
struct Case {
    data: Data,
    sampler: &'static str,
    steps: usize,
    how: Inpaint,
    matches: bool,
}

const fn x_0(data: Data, sampler: &'static str, steps: usize, matches: bool) -> Case {
    Case { data, sampler, steps, how: Inpaint::ReplaceX0, matches }
}

/// Each block of `jump_length` steps is run `resampling` times.
const fn x_t(
    data: Data,
    sampler: &'static str,
    steps: usize,
    [resampling, jump_length]: [u32; 2],
    matches: bool,
) -> Case {
    Case { data, sampler, steps, how: Inpaint::ReplaceXt { resampling, jump_length }, matches }
}

const CASES: [Case; 18] = [
    x_0(Data::Independent, "heun", 70, true),
    x_0(Data::Independent, "ddpm", 600, true),
    x_0(Data::Independent, "dpm++", 80, true),
    x_0(Data::Independent, "sde-dpm++", 100, true),
    x_t(Data::Independent, "heun", 70, [1, 1], true),
    x_t(Data::Independent, "heun", 70, [5, 5], true),
    x_t(Data::Independent, "ddim", 300, [1, 1], true),
    x_0(Data::Correlated, "ddpm", 250, false),
    x_t(Data::Correlated, "ddpm", 250, [1, 10], false),
    x_t(Data::Correlated, "ddpm", 250, [5, 10], true),
    x_t(Data::Correlated, "heun", 40, [20, 1], true),
    x_0(Data::Dependent, "dpm++", 80, false),
    x_0(Data::Dependent, "ddpm", 250, false),
    x_t(Data::Dependent, "ddpm", 250, [5, 10], false),
    x_t(Data::Dependent, "heun", 25, [1, 1], false),
    x_t(Data::Dependent, "heun", 25, [5, 1], false),
    x_t(Data::Dependent, "heun", 25, [20, 1], false),
    x_t(Data::Dependent, "heun", 25, [100, 1], true),
];

/// How far samples are from the conditional: χ², the Kolmogorov–Smirnov distance, and
/// the smaller p of both.
struct Distance {
    rows: usize,
    chi_square: f64,
    distance: f64,
    p: f64,
}

fn run(case: &Case, seed: u64) -> Distance {
    let network = &predictions()[0];
    let data = case.data.mixture();
    let sampler: Sampler = case.sampler.parse().unwrap();
    let (grid, inpaint) = (GridSpec::Karras { rho: 7.0 }, Some(case.how));
    let recipe = Recipe { grid, num_steps: case.steps, inpaint, ..Recipe::new(sampler, network) };
    let program = recipe.compile(network).unwrap();
    let perfect = Perfect::new(network, &data);
    // What stands where nothing is known must not matter.
    let known = Some(Inpainted { image: [KNOWN, 1e3], mask: [1.0, 0.0] });
    let samples = Run { program: &program, network: &perfect, seed, known }.samples(COUNT);

    let points = samples.chunks_exact(2);
    assert!(points.clone().all(|x| x[0] == KNOWN), "the known coordinate comes back as it is");
    let uniform: Vec<f64> = points.map(|x| data.conditional_cdf(KNOWN, x[1])).collect();
    let chi_square = chi_square(&uniform, CELLS);
    let (distance, p) = kolmogorov_smirnov(uniform);
    let p = p.min(chi_square_tail(chi_square, CELLS - 1));
    Distance { rows: program.rows().len(), chi_square, distance, p }
}

#[test]
fn the_unknown_coordinate_has_the_conditional_distribution_where_the_method_says_so() {
    let tests = 2 * CASES.iter().filter(|case| case.matches).count();
    let head = [":data", ":sampler", ":method", "rows", "χ² of 31", "distance of CDFs", "p"];
    let mut table = Table::new(&head);
    for (case, seed) in CASES.iter().zip(1..) {
        let Distance { rows, chi_square, distance, p } = run(case, seed);
        let how = match case.how {
            Inpaint::ReplaceX0 => "x_0".to_owned(),
            Inpaint::ReplaceXt { resampling, jump_length } => {
                format!("x_t, {resampling} × {jump_length}")
            }
        };
        table.row(&[
            format!("{:?}", case.data).to_lowercase(),
            format!("`{}`, {}", case.sampler, case.steps),
            how.clone(),
            rows.to_string(),
            format!("{chi_square:.0}"),
            format!("{distance:.3}"),
            format!("{p:.0e}"),
        ]);
        let alarm = p < ALARM / tests as f64;
        // What the page says is far off is seen to be so.
        let what = format!("{:?}, {}, {how}", case.data, case.sampler);
        let expected = alarm != case.matches;
        assert!(expected, "{what}: χ² {chi_square:.1}, distance {distance:.4}, p {p:.1e}");
    }
    document("distribution.md", "inpainting", &table);
}

#[test]
fn what_is_known_is_as_noisy_as_the_rest_after_every_step() {
    let network = &predictions()[0];
    let perfect = Perfect::new(network, &Data::Dependent.mixture());
    let recipe = Recipe::new("heun".parse().unwrap(), network);
    let inpaint = Some(Inpaint::ReplaceXt { resampling: 2, jump_length: 3 });
    let program = Recipe { num_steps: 10, inpaint, ..recipe }.compile(network).unwrap();
    let replacing = program.rows().iter().filter(|row| row.mask == Mask::ReplaceXt);
    let replacing: Vec<_> = replacing.collect();
    assert_eq!(replacing.len(), 2 * 9);
    for row in replacing {
        let (alpha, sigma) = perfect.place(row.t);
        assert_eq!(row.u, Mix { known: alpha, z: sigma, ..Mix::ZERO });
    }
    // At the data there is no noise: the prediction itself is replaced.
    let last = program.rows().last().unwrap();
    assert_eq!((last.mask, last.u), (Mask::ReplaceX0, Mix { x_0: 1.0, ..Mix::ZERO }));
}
