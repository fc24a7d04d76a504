//! From a sampler by name to the steps of a run.

use super::{
    Denoiser, Form, Sampler, Step, ancestral, consistency, ddim,
    dpm_solver::{self, DpmSolver},
    euler,
    heun::{self, Churn},
    multistep,
    restart::{self, Restart},
    unipc::{self, UniPc},
};
use crate::{Error, Grid, Network, Prediction};

impl Sampler {
    /// The steps of a run on `grid`.
    pub(crate) fn steps(self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        self.check()?;
        self.check_network(denoiser.network)?;
        match self {
            Self::Ddpm { variance } => {
                ancestral::ddpm(denoiser, grid, variance.unwrap_or(denoiser.network.variance))
            }
            Self::Ddim { eta, clip_rule } => ddim::ddim(denoiser, grid, eta, clip_rule),
            Self::DdimInverse => ddim::ddim_inverse(denoiser, grid),
            Self::Euler | Self::FlowEuler => euler::euler(denoiser, grid),
            Self::EulerAncestral { eta, s_noise } => {
                euler::euler_ancestral(denoiser, grid, eta, s_noise)
            }
            Self::Heun => heun::heun(denoiser, grid),
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => {
                heun::edm_heun(denoiser, grid, Churn { s_churn, s_tmin, s_tmax, s_noise })
            }
            Self::UniPc { order, variant, lower_order_final } => {
                let order = order as usize;
                unipc::unipc(denoiser, grid, UniPc { order, variant, lower_order_final })
            }
            Self::Deis { order } => multistep::deis(denoiser, grid, order as usize),
            Self::Ipndm { order } => multistep::ipndm(denoiser, grid, order as usize),
            Self::Pndm => multistep::pndm(denoiser, grid),
            Self::Lms { order } => multistep::lms(denoiser, grid, order as usize),
            Self::Restart { t_min, t_max, steps, repeats } => {
                let (steps, repeats) = (steps as usize, repeats as usize);
                restart::restart(denoiser, grid, Restart { t_min, t_max, steps, repeats })
            }
            Self::Consistency { sigma_min, shifted } => {
                consistency::consistency(denoiser, grid, sigma_min, shifted)
            }
            Self::Lcm => consistency::lcm(denoiser, grid),
            Self::DpmSolverPp { .. }
            | Self::DpmSolverPp3Corrected
            | Self::SdeDpmSolverPp { .. } => {
                dpm_solver::dpm_solver_pp(denoiser, grid, self.dpm_solver())
            }
        }
    }

    fn dpm_solver(self) -> DpmSolver {
        let plain = DpmSolver {
            order: 3,
            form: Form::Midpoint,
            eta: 0.0,
            lower_order_final: false,
            corrected: false,
        };
        match self {
            Self::DpmSolverPp { order, form, lower_order_final } => {
                DpmSolver { order: order as usize, form, lower_order_final, ..plain }
            }
            Self::SdeDpmSolverPp { order, form, eta } => {
                DpmSolver { order: order as usize, form, eta, ..plain }
            }
            // With the line through two predictions integrated exactly, as is the
            // parabola through three.
            _ => DpmSolver { form: Form::Heun, corrected: true, ..plain },
        }
    }

    fn check_network(self, network: &Network) -> Result<(), Error> {
        network.check()?;
        if network.prediction == Prediction::Mean && !matches!(self, Self::Ddpm { .. }) {
            return Err(Error::Sampler(format!(
                "{} has no use for a network that predicts the mean: use ddpm",
                self.name()
            )));
        }
        Ok(())
    }
}
