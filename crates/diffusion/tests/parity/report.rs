//! The table of all runs: `docs/samplers/parity.md`.

use std::fmt::Write;

use crate::FAMILIES;
use crate::case::{Case, GridCase, Package, REFERENCE};
use crate::run::{Run, difference, run};

const README: &str = include_str!("README.md");

/// Grids of the reference that this crate has. It has no `vp`, the points of a
/// process that no network here is trained on: `sigmas` takes them as a list.
pub(crate) fn grids() -> impl Iterator<Item = &'static GridCase> {
    REFERENCE.grids.iter().filter(|case| case.grid != "vp")
}

/// The document, in Markdown.
pub(crate) fn table() -> String {
    let mut text = introduction();
    for family in FAMILIES {
        write!(text, "\n## {family}\n\n{HEAD}").unwrap();
        for case in REFERENCE.cases.iter().filter(|case| case.family() == *family) {
            text += &rows(case);
        }
    }
    text + "\n" + &departures() + &table_of_grids()
}

const HEAD: &str = "\
| Case | Sampler | Parameterisation, clip | Grid \
| Off the formula | Package | Off the package | Verdict |
|---|---|---|---|---|---|---|---|
";

fn introduction() -> String {
    let cases = REFERENCE.cases.len();
    let packages = || REFERENCE.cases.iter().flat_map(|case| &case.packages);
    let (runs, agreeing) = (packages().count(), packages().filter(|run| run.agrees).count());
    let versions = &REFERENCE.versions;
    let (mut formula, mut served) = (0f64, 0f64);
    for case in &REFERENCE.cases {
        formula = formula.max(difference(&run::<f64>(case).state, &case.formula));
        let state = run::<f32>(case).state;
        let agreeing = case.packages.iter().filter(|package| package.agrees);
        served = agreeing.fold(served, |most, other| most.max(difference(&state, &other.output)));
    }
    format!(
        "# Parity of the samplers

<!-- Generated: DDPM_UPDATE_DOCS=1 cargo test -p ddpm-diffusion --test parity -->

Each of {cases} runs starts from the same state, on the same points, with the same noise and the
same small nonlinear network three times: by the formula of the paper (an independent Python
program in float64), by diffusers {diffusers} or k-diffusion {k_diffusion}, and as the rows that a
server executes. `cargo test -p ddpm-diffusion --test parity` checks all of it;
[the notes beside the test](../../crates/diffusion/tests/parity/README.md) say where the numbers
come from and what is decided where papers leave a choice.

* *Off the formula*: our rows in f64 against the formula; at most {formula:.0e}, where the test
  allows 1e-12.
* *Off the package*: our rows in f32 against the package in float64; at most {served:.0e}, where the
  test allows 1e-5. The network computes in f64 for both, so this is the rounding of states and
  coefficients; the same rows in f64 are within 1e-9 of the package. Of {runs} package runs,
  {agreeing} return what the formula gives; for the others see
  [where packages depart](#where-packages-differ-from-the-formulas).
* Both are the largest difference of an element, relative to max(1, its size). The number of network
  calls and of draws of noise is the same in each run.
",
        diffusers = versions["diffusers"],
        k_diffusion = versions["k-diffusion"],
    )
}

/// A row a package, or one alone.
fn rows(case: &Case) -> String {
    let Case { name, sampler, prediction, clip, grid_name, .. } = case;
    let (proof, served) = (run::<f64>(case), run::<f32>(case));
    let clip = if clip == "none" { String::new() } else { format!(", {clip}") };
    let network = format!("{} {prediction}{clip}", case.process.name());
    let formula = short(difference(&proof.state, &case.formula));
    let ours = format!("| {name} | `{sampler}` | {network} | {grid_name} | {formula} ");
    if case.packages.is_empty() {
        return format!("{ours}| – | – | the formula's |\n");
    }
    let row = |package| format!("{ours}{}\n", row_of_package(package, &served));
    case.packages.iter().map(row).collect()
}

fn row_of_package(package: &Package, served: &Run) -> String {
    let options = package.options.iter().map(|(name, value)| format!("{name}={}", plain(value)));
    let options = options.collect::<Vec<_>>().join(", ");
    let options = if options.is_empty() { options } else { format!("; `{options}`") };
    let difference = short(difference(&served.state, &package.output));
    let verdict = if package.agrees { "agrees" } else { "the package departs" };
    format!("| {}{options} | {difference} | {verdict} |", package.name)
}

fn short(difference: f64) -> String {
    match difference {
        0.0 => "0".into(),
        difference if difference.is_finite() => format!("{difference:.0e}"),
        _ => "NaN".into(),
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The section of the notes, which has the reasons.
fn departures() -> String {
    let start = README.find("## Where packages differ").expect("the notes have this section");
    README[start..].trim_end().to_owned() + "\n"
}

fn table_of_grids() -> String {
    let left_out = REFERENCE.grids.len() - grids().count();
    let mut text = format!(
        "
## Grids

Largest difference of a timestep or sigma, relative to its size. {left_out} of the reference's
grids are left out: `vp` has the points of a process that no network here is trained on;
`sigmas:…` takes them as a list.

| Grid | Process | Steps | Source | Off by | Remark |
|---|---|---|---|---|---|
"
    );
    for case in grids() {
        let GridCase { grid, num_steps, source, remark, .. } = case;
        let off = short(case.difference().unwrap());
        let process = case.schedule.name();
        writeln!(text, "| `{grid}` | {process} | {num_steps} | {source} | {off} | {remark} |")
            .unwrap();
    }
    text
}
