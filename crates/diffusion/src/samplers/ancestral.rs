//! Ancestral sampling (Ho et al. 2020, algorithm 2).

use super::step::one_row_per_step;
use super::{DefaultSteps, Denoiser, Facts, Method, SamplerOption, Step, Transition};
use crate::{
    Error, Grid, Mix, Parameterisation, Point, Prediction, Process, RawVariance, Variance,
};

/// x_s is drawn from the posterior q(x_s given x_t, x_0): 1 eval per step.
///
/// Fewer points than T give the respaced chain, whose β is that of the whole
/// interval (Nichol & Dhariwal 2021, section 4). A learned variance other than the
/// network's is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ddpm {
    /// Of each step; absent: the network's own.
    pub variance: Option<Variance>,
}

impl Ddpm {
    /// With the network's own variance.
    pub const DEFAULT: Self = Self { variance: None };
}

impl Method for Ddpm {
    fn facts(&self) -> Facts {
        Facts {
            default_steps: DefaultSteps::WholeChain,
            takes_mean: true,
            ..Facts::one_row("ddpm", "ddpm")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![SamplerOption::choice("variance", &mut self.variance)]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let network = denoiser.network;
        let variance = self.variance.unwrap_or(network.variance);
        check_variance(network, variance)?;
        one_row_per_step(grid, |_, from, to| {
            let transition = Transition::new(from, to, neighbours_beta(network, &from, &to));
            let mut row = denoiser.row(&from)?;
            row.u = match network.prediction {
                Prediction::Mean if is_whole_step(&from, &to) => MEAN_OF_NETWORK,
                _ => transition.posterior_mean(),
            };
            if !to.is_data() {
                (row.u.z, row.variance) = spread(&transition, variance);
            }
            Ok(row)
        })
    }
}

/// The scale of the noise, and what scales it element by element.
fn spread(transition: &Transition, variance: Variance) -> (f64, RawVariance) {
    let (small, large) = (transition.posterior_variance(), transition.variance);
    match variance {
        // A step that goes nowhere, of a grid with repeated points.
        _ if large == 0.0 => (0.0, RawVariance::None),
        Variance::FixedSmall => (small.sqrt(), RawVariance::None),
        Variance::FixedLarge => (large.sqrt(), RawVariance::None),
        Variance::Learned => (1.0, RawVariance::LogVariance),
        Variance::LearnedRange => {
            (1.0, RawVariance::Range { ln_min: small.ln(), ln_max: large.ln() })
        }
    }
}

fn check_variance(network: &Parameterisation, wanted: Variance) -> Result<(), Error> {
    if !wanted.is_learned() || wanted == network.variance {
        return Ok(());
    }
    let reason: String = match network.variance.is_learned() {
        false => "this network predicts no variance: ask for fixed-small or fixed-large".into(),
        true => format!("this network predicts the variance {}", network.variance.name()),
    };
    Err(Error::option("variance", reason))
}

/// The schedule's own β between neighbours: exact, where 1 − ᾱ_t/ᾱ_s cancels.
fn neighbours_beta(network: &Parameterisation, from: &Point, to: &Point) -> Option<f64> {
    let Process::Discrete(schedule) = &network.process else { return None };
    is_whole_step(from, to).then_some(())?;
    from.timestep.map(|t| schedule.betas()[t])
}

/// Whether this is a step of the trained chain.
fn is_whole_step(from: &Point, to: &Point) -> bool {
    match (from.timestep, to.timestep) {
        (Some(t), Some(s)) => s + 1 == t,
        (Some(t), None) => t == 0 && to.is_data(),
        (None, _) => false,
    }
}

/// The reference never clips a predicted mean, so over a whole step it is used as it
/// is. Over a longer one the mean is that of the x_0 which the output stands for.
const MEAN_OF_NETWORK: Mix = Mix { f: 1.0, ..Mix::ZERO };
