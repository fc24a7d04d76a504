//! A sampler and a grid for somebody who names only a budget.

use crate::{GridSpec, Network, Prediction, Process, Sampler};

/// Evaluations when not even the budget is named.
pub const DEFAULT_EVALS: usize = 20;

/// The sampler, grid and number of steps that spend at most `evals` network
/// evaluations a sample, by the measured table in `docs/samplers/quality.md`.
///
/// * `evals`: at least 1; on a discrete process at most T are of use.
#[must_use]
pub fn choose(network: &Network, evals: usize) -> (Sampler, GridSpec, usize) {
    let most = network.process.timesteps().unwrap_or(1000);
    let steps = evals.clamp(1, most);
    let ancestral = Sampler::Ddpm { variance: None };
    match &network.process {
        Process::Discrete(_) if network.prediction == Prediction::Mean || steps == most => {
            (ancestral, GridSpec::Trailing, steps)
        }
        _ => (Sampler::DpmSolverPp3Corrected, GridSpec::default_of(&network.process), steps),
    }
}
