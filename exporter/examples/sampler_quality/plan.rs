//! What to measure: samplers on grids, with as many steps as the budget allows.

use ddpm_diffusion::{
    Clip, GridSpec, Parameterisation, Prediction, Process, Program, Recipe, Sampler, auto,
};

/// A sampler run that fits a budget.
#[derive(Debug)]
pub(crate) struct Budgeted {
    pub(crate) text: String,
    pub(crate) program: Program,
}

/// Samplers in the documentation's tables: one or two per family.
const SAMPLERS: [&str; 14] = [
    "ddpm",
    "ddim",
    "euler-ancestral",
    "heun",
    "edm-heun",
    "dpm++",
    "dpm++-3-corrected",
    "sde-dpm++",
    "unipc",
    "unipc:order=3",
    "deis",
    "ipndm",
    "lms",
    "restart",
];

/// Pairs samplers with grids; by default every sampler in the tables with every grid that suits the
/// process.
pub(crate) fn pairs(
    parameterisation: &Parameterisation,
    samplers: &[Sampler],
    grids: &[GridSpec],
) -> Vec<(Sampler, GridSpec)> {
    let known = || SAMPLERS.iter().map(|text| text.parse().expect("the table holds samplers"));
    let samplers: Vec<Sampler> =
        if samplers.is_empty() { known().collect() } else { samplers.to_vec() };
    let grids = if grids.is_empty() { grids_for(parameterisation) } else { grids.to_vec() };
    let on_all = |sampler: Sampler| grids.iter().map(move |grid| (sampler, grid.clone()));
    samplers.into_iter().flat_map(on_all).collect()
}

fn grids_for(parameterisation: &Parameterisation) -> Vec<GridSpec> {
    let karras = GridSpec::Karras { rho: 7.0 };
    match parameterisation.process {
        Process::Discrete(_) if parameterisation.prediction == Prediction::Mean => {
            vec![GridSpec::Trailing]
        }
        Process::Discrete(_) => vec![GridSpec::Trailing, GridSpec::Exponential, karras],
        Process::Edm(_) => vec![karras, GridSpec::Exponential],
        Process::Flow => vec![GridSpec::Flow { shift: 1.0 }, GridSpec::Exponential, karras],
    }
}

/// Finds the run with the most steps that costs at most `evals`; `None` if there is none, or the
/// sampler does not suit the network.
pub(crate) fn within(
    parameterisation: &Parameterisation,
    sampler: Sampler,
    grid: &GridSpec,
    evals: usize,
    clip: Clip,
) -> Option<Budgeted> {
    let most = parameterisation.process.timesteps().unwrap_or(usize::MAX).min(evals);
    let compile = |num_steps| {
        let recipe = Recipe {
            grid: grid.clone(),
            num_steps,
            clip,
            ..Recipe::new(sampler, parameterisation)
        };
        recipe.compile(parameterisation).ok().filter(|program| program.evals() <= evals as u64)
    };
    // A step costs two evaluations at most, and what a sampler adds to them is a constant.
    let program = (1..=most).rev().find_map(compile)?;
    Some(Budgeted { text: format!("{sampler} on {grid}"), program })
}

/// Finds the run that `auto` chooses.
pub(crate) fn auto(
    parameterisation: &Parameterisation,
    evals: usize,
    clip: Clip,
) -> Option<Budgeted> {
    let samples = match clip {
        Clip::None => auto::Samples::Points,
        Clip::Unit | Clip::Dynamic { .. } => auto::Samples::Pictures,
    };
    let (sampler, grid, num_steps) =
        auto::choose(parameterisation, samples, evals, None, None).ok()?;
    let recipe =
        Recipe { grid: grid.clone(), num_steps, clip, ..Recipe::new(sampler, parameterisation) };
    let program = recipe.compile(parameterisation).ok()?;
    Some(Budgeted { text: format!("{sampler} on {grid}"), program })
}
