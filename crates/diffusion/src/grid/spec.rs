//! The rules by name, and the points that each of them visits.

use super::{Grid, timesteps};
use crate::process::at_time;
use crate::schedule::linspace;
use crate::{Error, Point, Process, Program};

/// A rule that turns a number of steps into a [`Grid`].
///
/// Its text form is the variant's name with its option, as in `karras:rho=7`,
/// `sections:10-15-20` or `sigmas:80-5.5-0.4-0`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum GridSpec {
    /// ⌊T/S⌋ · (0 … S−1) + offset; never reaches T−1 unless S = T.
    Leading {
        /// Added to each timestep.
        offset: usize,
    },
    /// round(T − kT/S) − 1; always starts at T−1.
    #[default]
    Trailing,
    /// S timesteps spaced evenly from 0 to T−1, rounded.
    Linspace,
    /// Squares of S points spaced evenly up to √(0.8 T), rounded; a timestep that
    /// rounding repeats moves up to the next free one (Song et al. 2020,
    /// appendix D.2).
    Quadratic,
    /// ddpm-torch's `linear`: every ⌊T/S⌋-th timestep below T, more than S of
    /// them where S does not divide T.
    DdpmTorchLinear,
    /// ddpm-torch's `quadratic`: as `Quadratic`, with the repeated timesteps.
    DdpmTorchQuadratic,
    /// improved-diffusion's sections: 0 … T−1 in equal parts, with one number of
    /// timesteps per part. The number of steps is their sum.
    Sections(Vec<usize>),
    /// improved-diffusion's `ddimN`: an integer stride that gives exactly N
    /// timesteps.
    DdimStride(usize),
    /// σ^(1/rho) runs evenly from the largest sigma to the least (Karras et al.
    /// 2022, equation 5).
    Karras {
        /// Above 0; 7 in the paper.
        rho: f64,
    },
    /// ln σ runs evenly from the largest sigma to the least: k-diffusion's
    /// `exponential`. It is also even in the log signal-to-noise ratio (Lu et al.
    /// 2022, uniform λ), and `log-snr` is its other name.
    Exponential,
    /// The time t of a straight line from noise to data, σ/α = t/(1−t), runs
    /// evenly from 1 (or to the largest sigma) to 0, then is shifted to
    /// shift t / (1 + (shift − 1) t) (Esser et al. 2024, equation 23).
    Flow {
        /// Above 0; 1 spaces evenly, more spends more steps on noise.
        shift: f64,
    },
    /// Exactly these timesteps, latest first; they may be real-valued, and for a flow
    /// they are 1000 t. The last interval ends at the data.
    Timesteps(Vec<f64>),
    /// Exactly these sigmas, largest first. A last 0 is the data, as in
    /// k-diffusion; without it the run stops at the last sigma.
    Sigmas(Vec<f64>),
}

impl GridSpec {
    /// The names of all rules, without their options.
    pub const NAMES: [&'static str; 13] = [
        "leading",
        "trailing",
        "linspace",
        "quadratic",
        "ddpm-torch-linear",
        "ddpm-torch-quadratic",
        "sections",
        "ddim",
        "karras",
        "exponential",
        "flow",
        "timesteps",
        "sigmas",
    ];

    /// Most steps of any grid.
    pub const MAX_STEPS: usize = Program::MAX_ROWS;

    /// Returns the default rule for a process.
    #[must_use]
    pub fn default_of(process: &Process) -> Self {
        match process {
            Process::Discrete(_) => Self::Trailing,
            Process::Edm(_) => Self::Karras { rho: 7.0 },
            Process::Flow => Self::Flow { shift: 1.0 },
        }
    }

    /// Returns the number of steps, if the rule fixes it.
    #[must_use]
    pub fn fixed_steps(&self) -> Option<usize> {
        match self {
            Self::Sections(counts) => {
                Some(counts.iter().fold(0, |sum: usize, count| sum.saturating_add(*count)))
            }
            Self::DdimStride(steps) => Some(*steps),
            Self::Timesteps(list) => Some(list.len()),
            Self::Sigmas(list) => Some(list.len().saturating_sub(1)),
            _ => None,
        }
    }

    /// Computes the points that a run of `num_steps` visits.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if the number of steps does not suit the rule, the rule
    /// needs timesteps and the process has none, or a list does not decrease or
    /// leaves the process.
    pub fn grid(&self, process: &Process, num_steps: usize) -> Result<Grid, Error> {
        self.check_steps(num_steps)?;
        if let Some(timesteps) = self.timesteps(process, num_steps)? {
            let points = timesteps.iter().map(|t| process.at_timestep(*t as f64));
            return Ok(Grid { points: points.collect::<Result<_, _>>()?, end: Point::DATA });
        }
        match self {
            Self::Timesteps(list) => {
                let points = list.iter().map(|t| process.at_timestep(*t));
                Grid { points: points.collect::<Result<_, _>>()?, end: Point::DATA }.decreasing()
            }
            Self::Sigmas(list) => of_sigmas(process, list),
            _ => self.continuous(process, num_steps),
        }
    }

    fn check_steps(&self, num_steps: usize) -> Result<(), Error> {
        let steps = self.fixed_steps().unwrap_or(num_steps);
        let name = self.name();
        let max = Self::MAX_STEPS;
        if steps > max && self.fixed_steps().is_some() {
            return Err(Error::points(format!("{name} may have at most {max} steps, got {steps}")));
        }
        if steps > max {
            return Err(Error::num_steps(format!("num_steps must be at most {max}, got {steps}")));
        }
        if steps != num_steps {
            return Err(Error::num_steps(format!(
                "the grid {name} has {steps} steps, so num_steps cannot be {num_steps}"
            )));
        }
        Ok(())
    }

    /// Returns the name, without options or numbers.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Leading { .. } => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
            Self::Quadratic => "quadratic",
            Self::DdpmTorchLinear => "ddpm-torch-linear",
            Self::DdpmTorchQuadratic => "ddpm-torch-quadratic",
            Self::Sections(_) => "sections",
            Self::DdimStride(_) => "ddim",
            Self::Karras { .. } => "karras",
            Self::Exponential => "exponential",
            Self::Flow { .. } => "flow",
            Self::Timesteps(_) => "timesteps",
            Self::Sigmas(_) => "sigmas",
        }
    }

    /// Computes the trained timesteps, for a rule that counts in timesteps.
    fn timesteps(&self, process: &Process, num_steps: usize) -> Result<Option<Vec<usize>>, Error> {
        let counts_in_sigmas = matches!(
            self,
            Self::Karras { .. }
                | Self::Exponential
                | Self::Flow { .. }
                | Self::Timesteps(_)
                | Self::Sigmas(_)
        );
        if counts_in_sigmas {
            return Ok(None);
        }
        let Some(of) = process.timesteps() else {
            return Err(Error::points(format!(
                "the grid {self} counts in timesteps, which this network does not have: use \
                 karras, exponential, flow or sigmas"
            )));
        };
        match self {
            Self::Leading { offset } => timesteps::leading(of, num_steps, *offset),
            Self::Linspace => timesteps::linspace_of(of, num_steps),
            Self::Quadratic => timesteps::quadratic(of, num_steps),
            Self::DdpmTorchLinear => timesteps::ddpm_torch_linear(of, num_steps),
            Self::DdpmTorchQuadratic => timesteps::ddpm_torch_quadratic(of, num_steps),
            Self::Sections(counts) => timesteps::sections(of, counts),
            Self::DdimStride(steps) => timesteps::ddim_stride(of, *steps),
            _ => timesteps::trailing(of, num_steps),
        }
        .map(Some)
    }

    /// Computes the grid of a rule that counts in sigmas, over the network's range.
    fn continuous(&self, process: &Process, num_steps: usize) -> Result<Grid, Error> {
        if num_steps == 0 {
            return Err(Error::num_steps("num_steps must be at least 1, got 0"));
        }
        let (low, high) = process.rho_range();
        let sigmas = match self {
            Self::Karras { rho } => {
                let even = linspace(high.powf(1.0 / rho), low.powf(1.0 / rho), num_steps);
                even.into_iter().map(|root| root.powf(*rho)).collect()
            }
            Self::Exponential => logarithmic(high, low, num_steps),
            Self::Flow { shift } => return flow(process, num_steps, *shift),
            _ => unreachable!("the other rules count in timesteps or are lists"),
        };
        of_points(process, &sigmas)
    }
}

fn logarithmic(high: f64, low: f64, count: usize) -> Vec<f64> {
    let mut sigmas: Vec<f64> =
        linspace(high.ln(), low.ln(), count).into_iter().map(f64::exp).collect();
    // The ends are the network's own, without the rounding of ln and exp.
    if let [first, .., last] = &mut sigmas[..] {
        (*first, *last) = (high, low);
    }
    sigmas
}

fn of_points(process: &Process, sigmas: &[f64]) -> Result<Grid, Error> {
    let points = sigmas.iter().map(|sigma| process.at_rho(*sigma));
    Grid { points: points.collect::<Result<_, _>>()?, end: Point::DATA }.decreasing()
}

/// Converts a list of sigmas as k-diffusion does.
fn of_sigmas(process: &Process, list: &[f64]) -> Result<Grid, Error> {
    match list {
        [] | [_] => Err(Error::points("sigmas need at least two numbers: a start and an end")),
        [points @ .., 0.0] => of_points(process, points),
        [points @ .., end] => {
            let end = process.at_rho(*end)?;
            Grid { end, ..of_points(process, points)? }.decreasing()
        }
    }
}

fn flow(process: &Process, num_steps: usize, shift: f64) -> Result<Grid, Error> {
    let shifted = |time: f64| shift * time / (1.0 + (shift - 1.0) * time);
    let largest = process.rho_range().1;
    // The unshifted time of the largest sigma: other processes do not reach t = 1.
    let start = match process {
        Process::Flow => 1.0,
        Process::Discrete(_) | Process::Edm(_) => largest / (shift + largest),
    };
    let at = |k: usize| match (process, k) {
        (Process::Flow, _) => Ok(at_time(shifted(1.0 - k as f64 / num_steps as f64))),
        (_, 0) => process.at_rho(largest),
        _ => {
            let time = shifted(start * (1.0 - k as f64 / num_steps as f64));
            process.at_rho(time / (1.0 - time))
        }
    };
    let points = (0..num_steps).map(at).collect::<Result<_, _>>()?;
    Grid { points, end: Point::DATA }.decreasing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edm, Schedule};

    fn linear() -> Process {
        Process::Discrete(Schedule::linear(1000, 1e-4, 0.02).unwrap())
    }

    fn grid(text: &str, process: &Process, steps: usize) -> Result<Grid, Error> {
        text.parse::<GridSpec>()?.grid(process, steps)
    }

    #[test]
    fn karras_sigmas_are_those_of_the_paper() {
        let grid = grid("karras", &Process::Edm(Edm::PAPER), 18).unwrap();
        let sigmas: Vec<f64> = grid.points().iter().map(Point::rho).collect();
        assert!((sigmas[0] - 80.0).abs() < 1e-12 && (sigmas[17] - 0.002).abs() < 1e-15);
        let root = |sigma: f64| sigma.powf(1.0 / 7.0);
        let want = (root(80.0) + 5.0 / 17.0 * (root(0.002) - root(80.0))).powi(7);
        assert!((sigmas[5] / want - 1.0).abs() < 1e-12);
        assert!(grid.end().is_data());
    }

    #[test]
    fn the_exponential_grid_is_even_in_the_log_signal_to_noise_ratio() {
        let grid = grid("log-snr", &linear(), 5).unwrap();
        let lambdas: Vec<f64> = grid.points().iter().map(Point::lambda).collect();
        let steps: Vec<f64> = lambdas.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-9), "{steps:?}");
        assert!(grid.end().is_data());
    }

    #[test]
    fn lists_must_decrease_inside_the_process() {
        assert!(grid("timesteps:999-500.5-0", &linear(), 3).is_ok());
        assert!(grid("timesteps:500-999", &linear(), 2).is_err());
        assert!(grid("timesteps:1000-3", &linear(), 2).is_err());
        assert!(grid("timesteps:5-5", &linear(), 2).is_err());
        assert!(grid("timesteps", &linear(), 0).is_err());
        assert!(grid("sigmas:80-1-0", &Process::Edm(Edm::PAPER), 2).is_ok());
        assert!(grid("sigmas:80-1-0.5", &Process::Edm(Edm::PAPER), 2).is_ok());
        assert!(grid("sigmas:80-1-3", &Process::Edm(Edm::PAPER), 2).is_err());
        assert!(grid("sigmas:80", &Process::Edm(Edm::PAPER), 0).is_err());
    }

    #[test]
    fn rules_that_count_in_timesteps_need_them() {
        let error = grid("trailing", &Process::Edm(Edm::PAPER), 5).unwrap_err().to_string();
        assert!(error.contains("use karras"), "{error}");
    }

    #[test]
    fn a_rule_that_fixes_its_steps_refuses_others() {
        let error = grid("ddim:25", &linear(), 20).unwrap_err().to_string();
        assert!(error.contains("has 25 steps"), "{error}");
    }

    #[test]
    fn a_flow_starts_at_pure_noise_and_any_other_process_at_its_own() {
        let flow = grid("flow:shift=3", &Process::Flow, 4).unwrap();
        assert_eq!(flow.points()[0].alpha, 0.0);
        assert!((flow.points()[2].sigma - 0.75).abs() < 1e-15);
        let discrete = grid("flow", &linear(), 4).unwrap();
        assert!((discrete.points()[0].t - 999.0).abs() < 1e-9);
        // Many steps begin above the largest sigma of a flow: none is omitted or repeated.
        for (process, shift) in [(linear(), 1), (linear(), 3), (Process::Edm(Edm::PAPER), 1)] {
            let grid = grid(&format!("flow:shift={shift}"), &process, 500).unwrap();
            let times: Vec<f64> = grid.points().iter().map(|p| p.rho() / (1.0 + p.rho())).collect();
            let shift = f64::from(shift);
            let even: Vec<f64> = times.iter().map(|t| t / (shift - (shift - 1.0) * t)).collect();
            let steps: Vec<f64> = even.windows(2).map(|pair| pair[0] - pair[1]).collect();
            assert!(steps.iter().all(|step| (step - even[0] / 500.0).abs() < 1e-9));
            assert_eq!(
                grid.points()[0].rho(),
                process.at_rho(process.rho_range().1).unwrap().rho()
            );
        }
    }
}
