//! Ancestral sampling (Ho et al. 2020, algorithm 2).

use super::{
    Denoiser, Step, Transition,
    step::{X_0, one_row_a_step},
};
use crate::{Error, Grid, Mix, Network, Point, Prediction, Process, RawVariance, Variance};

/// x_s is drawn from the posterior q(x_s given x_t, x_0): one eval a step.
///
/// Fewer points than T give the respaced chain, whose β is that of the whole
/// interval (Nichol & Dhariwal 2021, section 4).
///
/// # Errors
///
/// [`Error::Sampler`] if the variance is learned and the network's is not the
/// same, or if a network that predicts the mean meets anything but whole steps.
pub(crate) fn ddpm(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    variance: Variance,
) -> Result<Vec<Step>, Error> {
    check_variance(denoiser.network, variance)?;
    one_row_a_step(grid, |_, from, to| {
        let transition = Transition::new(from, to, neighbours_beta(denoiser.network, &from, &to));
        let mut row = denoiser.row(&from)?;
        row.u = match denoiser.network.prediction {
            Prediction::Mean => mean_of_network(denoiser.network, &from, &to)?,
            _ => transition.posterior_mean(),
        };
        if !to.is_data() {
            (row.u.z, row.variance) = spread(&transition, variance);
        }
        Ok(row)
    })
}

/// The scale of the noise, and what scales it element by element.
fn spread(transition: &Transition, variance: Variance) -> (f64, RawVariance) {
    let (small, large) = (transition.posterior_variance(), transition.variance);
    match variance {
        Variance::FixedSmall => (small.sqrt(), RawVariance::None),
        Variance::FixedLarge => (large.sqrt(), RawVariance::None),
        Variance::Learned => (1.0, RawVariance::LogVariance),
        Variance::LearnedRange => {
            (1.0, RawVariance::Range { ln_min: small.ln(), ln_max: large.ln() })
        }
    }
}

fn check_variance(network: &Network, wanted: Variance) -> Result<(), Error> {
    if !wanted.is_learned() || wanted == network.variance {
        return Ok(());
    }
    let reason = match network.variance.is_learned() {
        false => "this network predicts no variance: ask for fixed-small or fixed-large".into(),
        true => format!("this network predicts the variance {}", network.variance.name()),
    };
    Err(Error::Option { option: "variance", reason })
}

/// The schedule's own β between neighbours: exact, where 1 − ᾱ_t/ᾱ_s cancels.
fn neighbours_beta(network: &Network, from: &Point, to: &Point) -> Option<f64> {
    let Process::Discrete(schedule) = &network.process else { return None };
    let t = from.timestep?;
    (is_one_step(t, to)).then(|| schedule.betas()[t])
}

fn is_one_step(t: usize, to: &Point) -> bool {
    match to.timestep {
        Some(s) => s + 1 == t,
        None => t == 0 && to.is_data(),
    }
}

/// The reference never clips a predicted mean, so it is used as it is.
fn mean_of_network(network: &Network, from: &Point, to: &Point) -> Result<Mix, Error> {
    match from.timestep {
        Some(t) if is_one_step(t, to) => Ok(Mix { f: 1.0, x_0: 0.0, ..X_0 }),
        _ => {
            let timesteps = network.process.timesteps().unwrap_or_default();
            Err(Error::Sampler(format!(
                "a network that predicts the mean knows only whole steps: use all {timesteps}"
            )))
        }
    }
}
