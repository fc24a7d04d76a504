//! Ancestral sampling (Ho et al. 2020, algorithm 2).

use super::interval::{Interval, check_grid, one_row_a_step, predict, raw_variance};
use crate::{Clip, Error, Grid, Mix, Parameterization, Prediction, Program, Schedule, Variance};

/// Compiles ancestral sampling on `grid`: one row, one eval an interval.
///
/// * `network`: what the network's output means.
/// * `grid`: the timesteps visited; fewer than T give the respaced chain, whose
///   β is 1 − ᾱ_t/ᾱ_s.
/// * `variance`: of each step; [`Variance::Learned`] only if the network
///   predicts it.
///
/// # Errors
///
/// [`Error::Grid`] if the grid leaves the schedule; [`Error::Sampler`] if the
/// variance is not the network's, if eps is asked for x_0 at ᾱ = 0, or if a
/// network that predicts the mean meets a grid other than the whole one.
///
/// # Source
///
/// Ho et al. 2020, equations 7 and 11, <https://arxiv.org/abs/2006.11239>; the
/// respaced chain: Nichol & Dhariwal 2021, section 4.
pub fn ddpm(
    schedule: &Schedule,
    network: Parameterization,
    grid: &Grid,
    clip: Clip,
    variance: Variance,
) -> Result<Program, Error> {
    check_grid(schedule, grid.timesteps().first())?;
    let raw = raw_variance(network, variance)?;
    if network.prediction == Prediction::Mean && grid.timesteps().len() != schedule.timesteps() {
        let timesteps = schedule.timesteps();
        return Err(Error::Sampler(format!(
            "a network that predicts the mean knows only whole steps: use all {timesteps}"
        )));
    }
    let rows = grid.intervals().map(|(t, end)| {
        let interval = Interval::new(schedule, t, end);
        let mut row = predict(schedule, network, clip, t, interval.alpha_bar_end)?;
        row.u = match network.prediction {
            Prediction::Mean => Mix { f: 1.0, ..Mix::ZERO },
            _ => posterior_mean(&interval),
        };
        if end.is_some() {
            row.variance = raw;
            row.u.z = match variance {
                Variance::FixedSmall => interval.posterior_variance().sqrt(),
                Variance::FixedLarge => interval.beta.sqrt(),
                Variance::Learned => 1.0,
            };
        }
        Ok(row)
    });
    one_row_a_step(rows.collect::<Result<_, Error>>()?)
}

/// Equation 7 for the respaced chain.
fn posterior_mean(interval: &Interval) -> Mix {
    let rest = 1.0 - interval.alpha_bar;
    Mix {
        u: interval.alpha.sqrt() * (1.0 - interval.alpha_bar_end) / rest,
        x_0: interval.alpha_bar_end.sqrt() * interval.beta / rest,
        ..Mix::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: Parameterization =
        Parameterization { prediction: Prediction::Eps, variance: Variance::FixedLarge };

    #[test]
    fn only_whole_chains_suit_a_network_that_predicts_the_mean() {
        let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
        let network = Parameterization { prediction: Prediction::Mean, ..EPS };
        let compile = |steps| {
            let grid = Grid::leading(100, steps).unwrap();
            ddpm(&schedule, network, &grid, Clip::None, Variance::FixedSmall)
        };
        assert!(compile(100).is_ok());
        assert!(compile(50).unwrap_err().to_string().contains("use all 100"));
    }

    #[test]
    fn a_variance_that_the_network_does_not_predict_is_refused() {
        let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
        let grid = Grid::full(100).unwrap();
        let error = ddpm(&schedule, EPS, &grid, Clip::None, Variance::Learned).unwrap_err();
        assert!(error.to_string().contains("predicts no variance"));
    }

    #[test]
    fn a_grid_of_a_longer_schedule_is_refused() {
        let schedule = Schedule::linear(100, 1e-3, 0.1).unwrap();
        let grid = Grid::trailing(1000, 10).unwrap();
        assert!(ddpm(&schedule, EPS, &grid, Clip::None, Variance::FixedSmall).is_err());
    }
}
