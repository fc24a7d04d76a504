//! Denoising diffusion implicit models (Song et al. 2020).

use super::interval::{Interval, check_grid, one_row_a_step, predict};
use crate::{Clip, Error, Grid, Mix, Parameterization, Prediction, Program, Schedule};

/// Options of [`ddim`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ddim {
    /// η: 0 is deterministic, 1 has DDPM's noise (fixed-small); in [0, 1].
    pub eta: f64,
    /// Which noise estimate goes with a clipped x_0.
    pub clipped_eps: ClippedEps,
}

/// Which noise estimate goes with a clipped x_0. The two differ only where the
/// clip acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClippedEps {
    /// Recomputed from x_t and the clipped x_0: ddpm-torch's rule, and diffusers'
    /// with `use_clipped_model_output=True`.
    #[default]
    Recompute,
    /// The network's own: diffusers' default.
    Keep,
}

/// Compiles DDIM(η) on `grid` to a program: one row, one eval an interval.
///
/// * `network`: what the network's output means; not the mean.
/// * `grid`: the timesteps visited, latest first; the last interval ends at x_0.
/// * `options.eta`: in [0, 1].
///
/// # Errors
///
/// [`Error::Grid`] if the grid leaves the schedule; [`Error::Sampler`] if η is
/// out of range, if the network predicts the mean, or if eps is asked for x_0 at
/// ᾱ = 0.
///
/// # Source
///
/// Song et al. 2020, eq. 12, <https://arxiv.org/abs/2010.02502>. That paper
/// writes α for what is `alphas_cumprod` here.
pub fn ddim(
    schedule: &Schedule,
    network: Parameterization,
    grid: &Grid,
    clip: Clip,
    options: &Ddim,
) -> Result<Program, Error> {
    check_grid(schedule, grid.timesteps().first())?;
    let eta = options.eta;
    if !(0.0..=1.0).contains(&eta) {
        return Err(Error::Sampler(format!("eta must be in [0, 1], got {eta}")));
    }
    if network.prediction == Prediction::Mean {
        let reason = "DDIM has no use for a network that predicts the mean: use ddpm";
        return Err(Error::Sampler(reason.into()));
    }
    let rows = grid.intervals().map(|(t, end)| {
        let interval = Interval::new(schedule, t, end);
        let mut row = predict(schedule, network, clip, t, interval.alpha_bar_end)?;
        let variance = eta * eta * interval.posterior_variance();
        row.u = match options.clipped_eps {
            ClippedEps::Recompute => recomputed(&interval, variance),
            ClippedEps::Keep => kept(&interval, variance, row.x_0.p_u, row.x_0.p_f),
        };
        if end.is_some() {
            row.u.z = variance.sqrt();
        }
        Ok(row)
    });
    one_row_a_step(rows.collect::<Result<_, Error>>()?)
}

/// How much of the noise estimate goes on: √(1 − ᾱ_s − variance).
fn direction(interval: &Interval, variance: f64) -> f64 {
    (1.0 - interval.alpha_bar_end - variance).max(0.0).sqrt()
}

/// ε̂ = (x_t − √ᾱ_t x_0)/√(1−ᾱ_t), with x_0 after the clip.
fn recomputed(interval: &Interval, variance: f64) -> Mix {
    let scale = direction(interval, variance) / (1.0 - interval.alpha_bar).sqrt();
    Mix {
        u: scale,
        x_0: interval.alpha_bar_end.sqrt() - scale * interval.alpha_bar.sqrt(),
        ..Mix::ZERO
    }
}

/// The same with x_0 before the clip, p_u u + p_F F, in ε̂.
fn kept(interval: &Interval, variance: f64, p_u: f64, p_f: f64) -> Mix {
    let scale = direction(interval, variance) / (1.0 - interval.alpha_bar).sqrt();
    let of_x_0 = scale * interval.alpha_bar.sqrt();
    Mix {
        u: scale - of_x_0 * p_u,
        f: -of_x_0 * p_f,
        x_0: interval.alpha_bar_end.sqrt(),
        ..Mix::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Noise, State, Variance, q_sample};

    const EPS: Parameterization =
        Parameterization { prediction: Prediction::Eps, variance: Variance::FixedSmall };

    fn schedule() -> Schedule {
        Schedule::linear(1000, 1e-4, 0.02).unwrap()
    }

    fn run(program: &Program, x_t: &[f64], network: impl Fn(&[f64], f64) -> Vec<f64>) -> Vec<f64> {
        let mut state = State::from_point(program, x_t.to_vec());
        let mut kernel = Kernel::new(x_t.len());
        for (position, row) in program.rows().iter().enumerate() {
            let output = network(state.u(), row.t);
            kernel.advance(row, position, &mut state, &[&output], &Noise::new(3), 0, None);
        }
        state.u().to_vec()
    }

    #[test]
    fn ddim_recovers_x_0_in_one_step_from_the_true_noise() {
        let (x_0, eps) = ([-1.0, 0.25, 1.0], [0.5, -2.0, 1.5]);
        let mut x_t = [0.0; 3];
        q_sample(&schedule(), 500, &x_0, &eps, &mut x_t);
        let grid = Grid::explicit(1000, vec![500]).unwrap();
        for clipped_eps in [ClippedEps::Recompute, ClippedEps::Keep] {
            let options = Ddim { eta: 0.0, clipped_eps };
            let program = ddim(&schedule(), EPS, &grid, Clip::None, &options).unwrap();
            let got = run(&program, &x_t, |_, _| eps.to_vec());
            for (got, want) in got.iter().zip(x_0) {
                assert!((got - want).abs() < 1e-12, "{got} against {want}");
            }
        }
    }

    #[test]
    fn the_two_clip_rules_agree_until_the_clip_acts() {
        let network = |scale: f64| {
            move |u: &[f64], t: f64| u.iter().map(|u| scale * (u * 0.7 + t * 1e-3)).collect()
        };
        let grid = Grid::leading(1000, 10).unwrap();
        let compile = |clip, clipped_eps| {
            ddim(&schedule(), EPS, &grid, clip, &Ddim { eta: 0.5, clipped_eps }).unwrap()
        };
        let both = |clip, scale| {
            let x_t = [0.3, -0.9];
            let rules = [ClippedEps::Recompute, ClippedEps::Keep];
            rules.map(|rule| run(&compile(clip, rule), &x_t, network(scale)))
        };
        let [free, free_kept] = both(Clip::None, 1.0);
        assert!(free.iter().zip(&free_kept).all(|(a, b)| (a - b).abs() < 1e-12));
        let [clipped, clipped_kept] = both(Clip::Unit, 3.0);
        assert!(clipped.iter().zip(&clipped_kept).any(|(a, b)| (a - b).abs() > 1e-3));
    }

    #[test]
    fn eta_one_on_the_whole_grid_is_ddpm_with_the_small_variance() {
        let grid = Grid::full(1000).unwrap();
        let options = Ddim { eta: 1.0, clipped_eps: ClippedEps::Recompute };
        let ours = ddim(&schedule(), EPS, &grid, Clip::Unit, &options).unwrap();
        let ancestral =
            crate::samplers::ddpm(&schedule(), EPS, &grid, Clip::Unit, Variance::FixedSmall)
                .unwrap();
        for (a, b) in ours.rows().iter().zip(ancestral.rows()) {
            for (a, b) in a.u.coefficients().into_iter().zip(b.u.coefficients()) {
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-3), "{a} against {b}");
            }
        }
    }

    #[test]
    fn eta_out_of_range_is_refused() {
        let grid = Grid::leading(1000, 10).unwrap();
        for eta in [-0.1, 1.1, f64::NAN] {
            let options = Ddim { eta, ..Ddim::default() };
            assert!(ddim(&schedule(), EPS, &grid, Clip::None, &options).is_err());
        }
    }

    #[test]
    fn eps_on_a_schedule_that_ends_in_pure_noise_is_refused() {
        let jsd = Schedule::new(crate::BetaSchedule::Jsd, 100, 1.0, 1.0).unwrap();
        let grid = Grid::trailing(100, 10).unwrap();
        let error = ddim(&jsd, EPS, &grid, Clip::None, &Ddim::default()).unwrap_err();
        assert!(error.to_string().contains("use v or x_0"));
        let v = Parameterization { prediction: Prediction::V, ..EPS };
        assert!(ddim(&jsd, v, &grid, Clip::None, &Ddim::default()).is_ok());
    }
}
