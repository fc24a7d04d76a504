//! The variational bound on −log p(x_0): the numbers of each term.

use crate::{Error, Parameterisation, Point, Process, Variance};

/// The numbers of one term L_{t−1} (Ho et al. 2020, equation 5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundTerm {
    /// x_0 = p_u x_t + p_F F.
    pub p_u: f64,
    /// See `p_u`.
    pub p_f: f64,
    /// Mean of the posterior: of_x_0 x_0 + of_x_t x_t.
    pub of_x_0: f64,
    /// See `of_x_0`.
    pub of_x_t: f64,
    /// Its log-variance, ln β̃_t.
    pub ln_posterior: f64,
    /// ln β_t, or the log-variance of the steps if it is fixed.
    pub ln_upper: f64,
    /// Whether t = 0: the term is then −ln p(x_0 given x_1).
    pub first: bool,
}

impl BoundTerm {
    /// Computes the numbers at a trained timestep of a discrete process.
    ///
    /// # Errors
    ///
    /// As [`Parameterisation::at`]; [`Error::Sampler`] for a process without timesteps, which has
    /// no such terms.
    pub fn at(network: &Parameterisation, point: &Point) -> Result<Self, Error> {
        let (Process::Discrete(schedule), Some(t)) = (&network.process, point.timestep) else {
            return Err(Error::Sampler("the variational bound is of networks on timesteps".into()));
        };
        let evaluation = network.at(point)?;
        let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
        let ln_posterior = schedule.posterior_log_variance_clipped(t);
        let ln_upper = match network.variance {
            Variance::FixedSmall => ln_posterior,
            Variance::FixedLarge => schedule.fixed_large_log_variance(t),
            Variance::Learned | Variance::LearnedRange => schedule.betas()[t].ln(),
        };
        let (p_u, p_f) = (evaluation.p_u, evaluation.p_f);
        Ok(Self { p_u, p_f, of_x_0, of_x_t, ln_posterior, ln_upper, first: t == 0 })
    }
}
