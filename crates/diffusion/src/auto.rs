//! Chooses sampler and grid for a budget of evaluations.
//!
//! The choice follows what was measured on the shipped models: `docs/samplers/quality.md` has the
//! tables, and a test here holds it to them.

use crate::samplers::{Ddim, Ddpm, Deis, FlowEuler, Lms, UniPc};
use crate::{
    Error, GridSpec, Guidance, Inpaint, Parameterisation, Prediction, Process, Recipe, Sampler,
    Variance,
};

/// The default budget of evaluations.
pub const DEFAULT_EVALS: usize = 20;

/// With fewer evaluations, steps are so long that other samplers do best.
const FEW: usize = 8;

/// UniPC of order 2.
const UNIPC: Sampler = Sampler::UniPc(UniPc { order: 2, ..UniPc::DEFAULT });

/// The kind of samples, on which the best sampler depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Points of the plane, whose predictions are not clipped.
    Points,
    /// Pictures, whose predictions are clipped.
    Pictures,
}

/// Chooses the sampler, grid and number of steps that spend at most `evals` network
/// evaluations per sample, by the measured table in `docs/samplers/quality.md`.
///
/// * `evals`: at least 1; a discrete process can use at most T steps.
/// * `guidance`: costs two evaluations where it acts.
/// * `inpaint`: RePaint runs steps again, which no solver that remembers earlier
///   steps can do.
///
/// # Errors
///
/// [`Error::Grid`] if a single step costs more; otherwise as [`Recipe::compile`].
pub fn choose(
    network: &Parameterisation,
    samples: Samples,
    evals: usize,
    guidance: Option<Guidance>,
    inpaint: Option<Inpaint>,
) -> Result<(Sampler, GridSpec, usize), Error> {
    let chosen = |budget: usize| suited(network, samples, budget, inpaint);
    let cost = |budget: usize| {
        let (sampler, grid, num_steps) = chosen(budget);
        let recipe = Recipe { grid, num_steps, guidance, inpaint, ..Recipe::new(sampler, network) };
        recipe.compile(network).map(|program| program.evals())
    };
    let least = cost(1)?;
    if least > evals as u64 {
        let reason = format!("num_steps must be at least {least} evaluations, got {evals}");
        return Err(Error::num_steps(reason));
    }
    // The largest budget of plain steps whose program is not above `evals`.
    let (mut fits, mut above) = (1, most_steps(network).min(evals) + 1);
    while above - fits > 1 {
        let middle = fits.midpoint(above);
        match cost(middle) {
            Ok(cost) if cost <= evals as u64 => fits = middle,
            _ => above = middle,
        }
    }
    Ok(chosen(fits))
}

fn most_steps(network: &Parameterisation) -> usize {
    network.process.timesteps().unwrap_or(1000)
}

/// Returns the choice of [`measured`], or DDIM if that sampler cannot run steps again.
fn suited(
    network: &Parameterisation,
    samples: Samples,
    evals: usize,
    inpaint: Option<Inpaint>,
) -> (Sampler, GridSpec, usize) {
    let (sampler, grid, steps) = measured(network, samples, evals);
    match inpaint {
        Some(Inpaint::ReplaceXt { .. }) if !sampler.is_one_step() => {
            let ddim = Sampler::Ddim(Ddim::DEFAULT);
            (ddim, GridSpec::default_of(&network.process), evals.clamp(1, most_steps(network)))
        }
        _ => (sampler, grid, steps),
    }
}

/// Returns what measured best with this many evaluations, one per row.
fn measured(
    network: &Parameterisation,
    samples: Samples,
    evals: usize,
) -> (Sampler, GridSpec, usize) {
    let most = most_steps(network);
    let steps = evals.clamp(1, most);
    let (sampler, grid) = match &network.process {
        Process::Discrete(_) if network.prediction == Prediction::Mean || steps == most => {
            (Sampler::Ddpm(Ddpm { variance: None }), GridSpec::Trailing)
        }
        Process::Flow => (Sampler::FlowEuler(FlowEuler), GridSpec::Flow { shift: 1.0 }),
        process if samples == Samples::Pictures => (UNIPC, GridSpec::default_of(process)),
        Process::Edm(_) if steps < FEW => {
            (Sampler::Deis(Deis { order: 3 }), GridSpec::Karras { rho: 7.0 })
        }
        Process::Discrete(_) if steps < FEW => {
            (Sampler::Lms(Lms { order: 4 }), GridSpec::Exponential)
        }
        // A learned variance belongs to a whole timestep; a shorter chain skips timesteps.
        Process::Discrete(_) | Process::Edm(_) => {
            (Sampler::Ddpm(Ddpm { variance: Some(Variance::FixedSmall) }), GridSpec::Exponential)
        }
    };
    (sampler, grid, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, Edm, Schedule};

    fn networks() -> Vec<Parameterisation> {
        let chain = |kind, prediction| {
            let schedule = Schedule::new(kind, 100, 1e-4, 0.02).unwrap();
            Parameterisation::discrete(schedule, prediction, Variance::FixedSmall)
        };
        use Prediction::{Eps, Mean, V, X0};
        let linear = [Eps, X0, Mean, V].map(|prediction| chain(BetaSchedule::Linear, prediction));
        let jsd = [X0, Mean, V].map(|prediction| chain(BetaSchedule::Jsd, prediction));
        let flow_of_x_0 = Parameterisation { prediction: X0, ..Parameterisation::flow() };
        let others = [Parameterisation::edm(Edm::PAPER), Parameterisation::flow(), flow_of_x_0];
        linear.into_iter().chain(jsd).chain(others).collect()
    }

    /// Returns the evaluations and the number of steps of the choice.
    fn spent(
        network: &Parameterisation,
        samples: Samples,
        budget: usize,
        guidance: Option<Guidance>,
        inpaint: Option<Inpaint>,
    ) -> (u64, usize) {
        let (sampler, grid, num_steps) =
            choose(network, samples, budget, guidance, inpaint).unwrap();
        let recipe = Recipe { grid, num_steps, guidance, inpaint, ..Recipe::new(sampler, network) };
        (recipe.compile(network).unwrap().evals(), num_steps)
    }

    fn kinds_and_budgets() -> impl Iterator<Item = (Samples, usize)> {
        let budgets = [2, 5, 10, 20, 50, 100, 1000];
        let kinds = [Samples::Points, Samples::Pictures];
        kinds.into_iter().flat_map(move |kind| budgets.map(|budget| (kind, budget)))
    }

    #[test]
    fn no_choice_costs_more_than_the_budget_or_much_less() {
        let interval = Guidance { scale: 2.0, sigma_min: 0.3, sigma_max: 5.0 };
        let again = |resampling| Inpaint::ReplaceXt { resampling, jump_length: 3 };
        let inpaints = [None, Some(Inpaint::ReplaceX0), Some(again(1)), Some(again(4))];
        for network in networks() {
            for guidance in [None, Some(Guidance::everywhere(3.0)), Some(interval)] {
                for inpaint in inpaints {
                    for (samples, budget) in kinds_and_budgets() {
                        let (evals, steps) = spent(&network, samples, budget, guidance, inpaint);
                        let what = format!("{network:?}, {guidance:?}, {inpaint:?}, {budget}");
                        assert!(evals <= budget as u64, "{evals}: {what}");
                        // One more step of any method here costs at most 2 · 4 · 2 evaluations.
                        let spent = evals + 16 > budget as u64 || steps >= 100;
                        assert!(spent, "only {evals}: {what}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_budget_below_one_step_is_refused_with_what_a_step_costs() {
        let network = &networks()[0];
        let refused =
            |evals, guidance| choose(network, Samples::Points, evals, guidance, None).unwrap_err();
        let error = refused(0, None).to_string();
        assert!(error.contains("at least 1 evaluations, got 0"), "{error}");
        let error = refused(1, Some(Guidance::everywhere(2.0))).to_string();
        assert!(error.contains("at least 2 evaluations, got 1"), "{error}");
        let wrong = Guidance::everywhere(-1.0);
        assert!(refused(9, Some(wrong)).to_string().contains("guidance.scale"));
    }

    #[test]
    fn networks_that_predict_the_mean_take_fewer_steps_than_they_were_trained_for() {
        for network in networks().iter().filter(|one| one.prediction == Prediction::Mean) {
            let (sampler, _, steps) = choose(network, Samples::Points, 10, None, None).unwrap();
            assert_eq!((sampler, steps), (Sampler::Ddpm(Ddpm { variance: None }), 10));
        }
    }

    #[test]
    fn the_choice_is_the_documented_one() {
        let page = include_str!("../../../docs/samplers/quality.md");
        let on_betas = |prediction| {
            let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
            Parameterisation::discrete(schedule, prediction, Variance::FixedSmall)
        };
        for (name, network, samples) in [
            ("points on betas", on_betas(Prediction::Eps), Samples::Points),
            ("pictures on betas", on_betas(Prediction::V), Samples::Pictures),
            ("points on EDM", Parameterisation::edm(Edm::PAPER), Samples::Points),
            ("flow", Parameterisation::flow(), Samples::Points),
        ] {
            let start = format!("| {name} |");
            let row = page.lines().find(|line| line.starts_with(&start)).unwrap();
            let cells: Vec<&str> = row.split('|').skip(2).map(str::trim).collect();
            for (place, budget) in [5, 10, 20, 50, 1000].into_iter().enumerate() {
                let (sampler, grid, _) = choose(&network, samples, budget, None, None).unwrap();
                let shown = cells.get(place).copied();
                assert_eq!(shown, Some(&*format!("`{sampler}`, `{grid}`")), "{name}, {budget}");
            }
        }
    }
}
