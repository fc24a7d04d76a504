//! What is measured: samplers on grids, with as many steps as a budget allows.

use ddpm_diffusion::{
    Clip, GridSpec, Network, Prediction, Process, Program, Recipe, Sampler, auto,
};

/// A run that fits a budget.
#[derive(Debug)]
pub(crate) struct Budgeted {
    pub(crate) text: String,
    pub(crate) program: Program,
}

/// Samplers of the documentation's tables: one or two of each family.
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

/// What is asked for, or else every sampler of the tables on every grid that suits the process.
pub(crate) fn pairs(
    network: &Network,
    samplers: &[Sampler],
    grids: &[GridSpec],
) -> Vec<(Sampler, GridSpec)> {
    let known = || SAMPLERS.iter().map(|text| text.parse().expect("it is a sampler"));
    let samplers: Vec<Sampler> =
        if samplers.is_empty() { known().collect() } else { samplers.to_vec() };
    let grids = if grids.is_empty() { grids_of(network) } else { grids.to_vec() };
    let on_all = |sampler: Sampler| grids.iter().map(move |grid| (sampler, grid.clone()));
    samplers.into_iter().flat_map(on_all).collect()
}

fn grids_of(network: &Network) -> Vec<GridSpec> {
    let karras = GridSpec::Karras { rho: 7.0 };
    match network.process {
        Process::Discrete(_) if network.prediction == Prediction::Mean => vec![GridSpec::Trailing],
        Process::Discrete(_) => vec![GridSpec::Trailing, GridSpec::Exponential, karras],
        Process::Edm(_) => vec![karras, GridSpec::Exponential],
        Process::Flow => vec![GridSpec::Flow { shift: 1.0 }, GridSpec::Exponential, karras],
    }
}

/// The run with the most steps that costs at most `evals`; `None` if there is none, or the sampler does
/// not suit the network.
pub(crate) fn within(
    network: &Network,
    sampler: Sampler,
    grid: &GridSpec,
    evals: usize,
    clip: Clip,
) -> Option<Budgeted> {
    let most = network.process.timesteps().unwrap_or(usize::MAX).min(evals);
    let compile = |num_steps| {
        let recipe =
            Recipe { grid: grid.clone(), num_steps, clip, ..Recipe::new(sampler, network) };
        recipe.compile(network).ok().filter(|program| program.evals() <= evals as u64)
    };
    // A step costs two evaluations at most, and what a sampler adds to them is a constant.
    let program = (1..=most).rev().find_map(compile)?;
    Some(Budgeted { text: format!("{sampler} on {grid}"), program })
}

/// What `auto` chooses.
pub(crate) fn auto(network: &Network, evals: usize, clip: Clip) -> Option<Budgeted> {
    let samples = match clip {
        Clip::None => auto::Samples::Points,
        Clip::Unit | Clip::Dynamic { .. } => auto::Samples::Pictures,
    };
    let (sampler, grid, num_steps) = auto::choose(network, samples, evals, None, None).ok()?;
    let recipe = Recipe { grid: grid.clone(), num_steps, clip, ..Recipe::new(sampler, network) };
    let program = recipe.compile(network).ok()?;
    Some(Budgeted { text: format!("{sampler} on {grid}"), program })
}
