//! Samplers of networks that jump to the data at once: consistency models and
//! their latent kin. They run on networks that were not trained for it, and pay on
//! those that were.

use super::step::one_row_per_step;
use super::{DefaultSteps, Denoiser, Facts, Method, Precondition, SamplerOption, Step};
use crate::{Edm, Error, Grid, Mix, Point, Process, Row};

/// Jump to the data, then back to the noise of the next point: 1 eval per step.
///
/// # Source
///
/// Song et al. 2023, algorithm 1 and appendix C, <https://arxiv.org/abs/2303.01469>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consistency {
    /// The least sigma that the network was trained for; there it is the identity.
    pub sigma_min: f64,
    /// How x_0 follows from the network's output.
    pub precondition: Precondition,
}

impl Consistency {
    /// As the network was trained, down to sigma 0.002.
    pub const DEFAULT: Self = Self { sigma_min: 0.002, precondition: Precondition::Network };
}

impl Method for Consistency {
    fn facts(&self) -> Facts {
        Facts {
            default_steps: DefaultSteps::AtMost(2),
            ..Facts::one_row("consistency", "consistency")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![
            SamplerOption::number("sigma-min", &mut self.sigma_min, 0.0..=1e6),
            SamplerOption::choice_as_flag("precondition", &mut self.precondition, "shifted"),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        one_row_per_step(grid, |_, from, to| {
            let mut row = denoiser.row(&from)?;
            match self.precondition {
                Precondition::Network => {}
                Precondition::Consistency => self.shift_boundary(denoiser, &from, &mut row)?,
            }
            let spread = (to.rho() * to.rho() - self.sigma_min * self.sigma_min).max(0.0).sqrt();
            row.u = Mix { x_0: to.alpha, ..Mix::ZERO };
            row.u.z = if to.is_data() { 0.0 } else { to.alpha * spread };
            Ok(row)
        })
    }
}

impl Consistency {
    /// c_skip and c_out that make the network the identity at `sigma_min`, not at 0.
    fn shift_boundary(
        &self,
        denoiser: &Denoiser<'_>,
        from: &Point,
        row: &mut Row,
    ) -> Result<(), Error> {
        let Process::Edm(Edm { sigma_data, .. }) = denoiser.network.process else {
            let reason = "`consistency` is for EDM networks; leave it out for this one";
            return Err(Error::option("precondition", reason));
        };
        let above = from.sigma - self.sigma_min;
        row.x_0.p_u = sigma_data * sigma_data / (above * above + sigma_data * sigma_data);
        row.x_0.p_f = above * sigma_data / from.sigma.hypot(sigma_data);
        Ok(())
    }
}

/// As [`Consistency`], with the skip connection of latent consistency models
/// between x and x_0: 1 eval per step.
///
/// An EDM network is refused: the skip connection is one of timesteps, and EDM's
/// ln σ / 4 may be negative.
///
/// # Source
///
/// Luo et al. 2023, equation 9 and algorithm 3, <https://arxiv.org/abs/2310.04378>,
/// with σ_data = 0.5 and timesteps scaled by 10 as in diffusers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lcm;

impl Lcm {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for Lcm {
    fn facts(&self) -> Facts {
        Facts { default_steps: DefaultSteps::AtMost(4), ..Facts::one_row("lcm", "lcm") }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        const SIGMA_DATA: f64 = 0.5;
        const TIMESTEP_SCALING: f64 = 10.0;
        if let Process::Edm(_) = denoiser.network.process {
            let reason =
                "lcm counts in timesteps, which an EDM network does not have: use consistency";
            return Err(Error::Sampler(reason.into()));
        }
        one_row_per_step(grid, |_, from, to| {
            let mut row = denoiser.row(&from)?;
            let scaled = from.t * TIMESTEP_SCALING;
            let c_skip = SIGMA_DATA * SIGMA_DATA / (scaled * scaled + SIGMA_DATA * SIGMA_DATA);
            let c_out = scaled / scaled.hypot(SIGMA_DATA);
            row.u = Mix { u: to.alpha * c_skip, x_0: to.alpha * c_out, z: to.sigma, ..Mix::ZERO };
            Ok(row)
        })
    }
}
