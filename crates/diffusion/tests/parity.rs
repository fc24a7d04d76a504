//! Every sampler against the formula of its paper, and against diffusers and
//! k-diffusion; `parity/README.md` says where the numbers come from.
//!
//! `DDPM_UPDATE_DOCS=1 cargo test -p ddpm-diffusion --test parity` writes the table
//! of all of it to `docs/samplers/parity.md`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use ddpm_diffusion::Sampler;

#[path = "parity/case.rs"]
mod case;
use case::{Case, REFERENCE};

#[path = "parity/run.rs"]
mod run;
use run::{difference, run};

#[path = "parity/departures.rs"]
mod departures;

#[path = "parity/report.rs"]
mod report;

/// Between the formula and a run in f64, relative to max(1, |x|).
const FORMULA: f64 = 1e-12;
/// Between a package and a run, both in f64: what `reference.py` allows it, and ours.
const PACKAGE: f64 = 1e-9 + FORMULA;
/// Between a package in f64 and a run in f32.
const SERVED: f64 = 1e-5;

/// One test a family: the formula, the packages that agree with it, and the cost.
macro_rules! families {
    ($($test:ident: $family:literal,)+) => {
        const FAMILIES: &[&str] = &[$($family),+];

        $(
            #[test]
            fn $test() {
                check_family($family);
            }
        )+
    };
}

families! {
    ddpm_is_its_formula_and_the_packages: "ddpm",
    ddim_is_its_formula_and_the_packages: "ddim",
    ddim_inverse_is_its_formula_and_the_packages: "ddim-inverse",
    euler_is_its_formula_and_the_packages: "euler",
    euler_ancestral_is_its_formula_and_the_packages: "euler-ancestral",
    heun_is_its_formula_and_the_packages: "heun",
    edm_heun_is_its_formula_and_the_packages: "edm-heun",
    dpm2_is_its_formula_and_the_packages: "dpm2",
    dpm2_ancestral_is_its_formula_and_the_packages: "dpm2-ancestral",
    dpm_solver_pp_is_its_formula_and_the_packages: "dpm++",
    dpm_solver_pp_3_corrected_is_its_formula: "dpm++-3-corrected",
    sde_dpm_solver_pp_is_its_formula_and_the_packages: "sde-dpm++",
    dpm_solver_pp_2s_ancestral_is_its_formula_and_the_package: "dpm++2s-ancestral",
    unipc_is_its_formula_and_the_packages: "unipc",
    sa_solver_is_its_formula_and_the_packages: "sa-solver",
    deis_is_its_formula_and_the_packages: "deis",
    ipndm_is_its_formula_and_the_packages: "ipndm",
    pndm_is_its_formula_and_the_packages: "pndm",
    lms_is_its_formula_and_the_packages: "lms",
    restart_is_its_formula: "restart",
    consistency_is_its_formula_and_the_packages: "consistency",
    lcm_is_its_formula_and_the_packages: "lcm",
    flow_euler_is_its_formula_and_the_packages: "flow-euler",
}

fn check_family(family: &str) {
    let cases: Vec<_> = REFERENCE.cases.iter().filter(|case| case.family() == family).collect();
    assert!(!cases.is_empty(), "no case of {family}");
    let failures: Vec<String> = cases.into_iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Everything that is wrong with a case, with both numbers.
fn failures(case: &Case) -> Vec<String> {
    let Case { name, formula, .. } = case;
    let (proof, served) = (run::<f64>(case), run::<f32>(case));
    let mut failures = Vec::new();
    let counts = (proof.evaluations, proof.draws);
    let wanted = (case.evaluations, case.noise.len());
    if counts != wanted {
        failures.push(format!("{name}: {counts:?} evaluations and draws for {wanted:?}"));
    }
    let mut compare = |what: &str, got: &[f64], want: &[f64], tolerance: f64| {
        let difference = difference(got, want);
        if difference > tolerance {
            failures.push(format!("{name}: {what}: off by {difference:.1e}: {got:?} for {want:?}"));
        }
    };
    compare("formula", &proof.state, formula, FORMULA);
    for package in case.packages.iter().filter(|package| package.agrees) {
        compare(&package.name, &proof.state, &package.output, PACKAGE);
        compare(&package.name, &served.state, &package.output, SERVED);
    }
    failures
}

#[test]
fn every_sampler_has_cases_and_every_case_has_a_test() {
    let of_cases: BTreeSet<&str> = REFERENCE.cases.iter().map(Case::family).collect();
    let of_tests: BTreeSet<&str> = FAMILIES.iter().copied().collect();
    let of_crate: BTreeSet<&str> = Sampler::ALL.iter().map(|sampler| sampler.name()).collect();
    assert_eq!(of_cases, of_tests);
    assert_eq!(of_cases, of_crate);
}

#[test]
fn more_than_sixty_combinations_are_what_a_package_returns() {
    let distinct: BTreeSet<_> = REFERENCE
        .cases
        .iter()
        .filter(|case| case.packages.iter().any(|package| package.agrees))
        .map(|case| {
            let Case { sampler, prediction, variance, clip, grid_name, .. } = case;
            (sampler, case.process.name(), prediction, variance, clip, grid_name)
        })
        .collect();
    assert!(distinct.len() > 60, "{}", distinct.len());
}

#[test]
fn every_grid_is_that_of_its_source() {
    let mut failures = Vec::new();
    for case in report::grids() {
        let found = case.difference().unwrap();
        if found > case.tolerance {
            failures.push(format!("{} of {}: off by {found:.1e}", case.grid, case.source));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_table_lists_every_case() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samplers/parity.md");
    if std::env::var_os("DDPM_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, report::table()).unwrap();
    }
    let table = std::fs::read_to_string(&path).unwrap();
    for case in &REFERENCE.cases {
        assert!(table.contains(&format!("| {} |", case.name)), "{} is not there", case.name);
    }
}
