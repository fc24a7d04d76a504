//! What samplers need to know about a network: the process it was trained on and what
//! its outputs mean.

use crate::row::Clip;
use crate::{Edm, Error, Point, Prediction, Process, Program, Schedule, Variance, X0Rule};

/// The meaning of a network's inputs and outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameterisation {
    /// The forward process; decides the coordinates of samples.
    pub process: Process,
    /// What the first half (or all) of the output channels predict.
    pub prediction: Prediction,
    /// Whether the second half holds variances, and the default otherwise.
    pub variance: Variance,
}

/// How a network is called at a point, and how x_0 follows from its output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The timestep at its input.
    pub t: f64,
    /// The scale of its input.
    pub c_in: f64,
    /// x_0 = p_u u + p_F F.
    pub p_u: f64,
    /// See `p_u`.
    pub p_f: f64,
}

impl Parameterisation {
    /// Describes a network on a discrete process.
    #[must_use]
    pub fn discrete(schedule: Schedule, prediction: Prediction, variance: Variance) -> Self {
        Self { process: Process::Discrete(schedule), prediction, variance }
    }

    /// Describes an EDM network.
    #[must_use]
    pub fn edm(edm: Edm) -> Self {
        let process = Process::Edm(edm);
        Self { process, prediction: Prediction::Edm, variance: Variance::FixedSmall }
    }

    /// Describes a flow-matching network.
    #[must_use]
    pub fn flow() -> Self {
        let variance = Variance::FixedSmall;
        Self { process: Process::Flow, prediction: Prediction::Flow, variance }
    }

    /// Checks that prediction, variance and process suit each other.
    ///
    /// # Errors
    ///
    /// [`Error::Sampler`] names what does not.
    pub fn check(&self) -> Result<(), Error> {
        let fail = |reason: &str| Err(Error::Sampler(reason.into()));
        match (&self.process, self.prediction) {
            (Process::Discrete(schedule), Prediction::Eps) if schedule.ends_in_pure_noise() => {
                fail(
                    "a schedule that ends in pure noise (alphas_cumprod = 0) needs a network that \
                 predicts v or x_0, not eps",
                )
            }
            (Process::Discrete(schedule), Prediction::Eps | Prediction::Mean)
                if self.most_amplified(schedule) > Program::MAX_SIZE =>
            {
                let (most, max) = (self.most_amplified(schedule), Program::MAX_SIZE);
                Err(Error::Sampler(format!(
                    "this schedule leaves so little of the data that {} would be multiplied by \
                     {most:.0e} to give x_0, and {max:.0e} is the most: use v or x_0",
                    self.prediction
                )))
            }
            (Process::Discrete(_), Prediction::Edm | Prediction::Flow) => {
                fail("a network on a schedule of betas predicts eps, x_0, mean or v")
            }
            (Process::Edm(_), Prediction::Edm | Prediction::X0 | Prediction::Eps)
            | (Process::Flow, Prediction::Flow | Prediction::X0)
            | (Process::Discrete(_), _) => Ok(()),
            (Process::Edm(_), _) => fail("an EDM network predicts edm, x_0 or eps"),
            (Process::Flow, _) => fail("a flow network predicts flow or x_0"),
        }
    }

    /// Returns how the network is called at a point, and how x_0 follows from its output.
    ///
    /// # Errors
    ///
    /// [`Error::Sampler`] where the output says nothing about x_0: eps at α = 0;
    /// the mean of the posterior anywhere but at a trained timestep.
    pub fn at(&self, point: &Point) -> Result<Evaluation, Error> {
        let Point { t, alpha, sigma, timestep } = *point;
        let c_in = match self.process {
            Process::Edm(Edm { sigma_data, .. }) => 1.0 / sigma.hypot(sigma_data),
            Process::Discrete(_) | Process::Flow => 1.0,
        };
        let (p_u, p_f) = match self.prediction {
            Prediction::Eps if alpha == 0.0 => {
                return Err(Error::Sampler(format!(
                    "alphas_cumprod is 0 at t = {t}, where eps says nothing about x_0: use v or x_0"
                )));
            }
            Prediction::Eps => (1.0 / alpha, -sigma / alpha),
            Prediction::X0 => (0.0, 1.0),
            Prediction::V => (alpha, -sigma),
            Prediction::Flow => (1.0, -sigma),
            Prediction::Edm => self.edm_coefficients(sigma)?,
            Prediction::Mean => self.mean_coefficients(timestep)?,
        };
        Ok(Evaluation { t, c_in, p_u, p_f })
    }

    /// Returns [`Parameterisation::at`] in the form that a row needs.
    pub(crate) fn x_0_rule(
        &self,
        point: &Point,
        clip: Clip,
    ) -> Result<(Evaluation, X0Rule), Error> {
        let evaluation = self.at(point)?;
        let Evaluation { p_u, p_f, .. } = evaluation;
        Ok((evaluation, X0Rule { p_u, p_f, clip }))
    }

    /// Returns what the network should output for x = α x_0 + σ ε, as the coefficients
    /// of x_0 and ε.
    ///
    /// # Errors
    ///
    /// As [`Parameterisation::at`].
    pub fn target(&self, point: &Point) -> Result<(f64, f64), Error> {
        let Point { alpha, sigma, .. } = *point;
        Ok(match self.prediction {
            Prediction::Eps => (0.0, 1.0),
            Prediction::X0 => (1.0, 0.0),
            // x_0 = p_u (α x_0 + σ ε) + p_F F, solved for F.
            Prediction::V => (-sigma, alpha),
            Prediction::Flow => (-1.0, 1.0),
            Prediction::Edm | Prediction::Mean => {
                let Evaluation { p_u, p_f, .. } = self.at(point)?;
                ((1.0 - p_u * alpha) / p_f, -p_u * sigma / p_f)
            }
        })
    }

    /// Returns the largest factor that turns an output, or x_t, into x_0.
    fn most_amplified(&self, schedule: &Schedule) -> f64 {
        let of = |t: usize| match self.prediction {
            Prediction::Mean => 1.0 / schedule.posterior_mean_coefficients(t).0,
            _ => 1.0 / schedule.alphas_cumprod()[t].sqrt(),
        };
        (0..schedule.timesteps()).map(of).fold(0.0, f64::max)
    }

    /// Computes c_skip and c_out of Karras et al. 2022, table 1.
    fn edm_coefficients(&self, sigma: f64) -> Result<(f64, f64), Error> {
        let Process::Edm(Edm { sigma_data, .. }) = self.process else {
            return Err(Error::Sampler("only an EDM process has EDM's preconditioning".into()));
        };
        let total = sigma * sigma + sigma_data * sigma_data;
        Ok((sigma_data * sigma_data / total, sigma * sigma_data / total.sqrt()))
    }

    fn mean_coefficients(&self, timestep: Option<usize>) -> Result<(f64, f64), Error> {
        let (Process::Discrete(schedule), Some(t)) = (&self.process, timestep) else {
            return Err(Error::Sampler(
                "a network that predicts the mean knows only its trained timesteps".into(),
            ));
        };
        let (of_x_0, of_x_t) = schedule.posterior_mean_coefficients(t);
        Ok((-of_x_t / of_x_0, 1.0 / of_x_0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_every_prediction_gives_x_0_back() {
        let (x_0, eps) = (0.7, -1.3);
        let schedule = || Schedule::linear(1000, 1e-4, 0.02).unwrap();
        let discrete =
            [Prediction::Eps, Prediction::X0, Prediction::Mean, Prediction::V].map(|prediction| {
                Parameterisation::discrete(schedule(), prediction, Variance::FixedSmall)
            });
        for network in discrete
            .into_iter()
            .chain([Parameterisation::edm(Edm::PAPER), Parameterisation::flow()])
        {
            let point = match network.process {
                Process::Discrete(_) => network.process.at_timestep(400.0).unwrap(),
                _ => network.process.at_rho(0.8).unwrap(),
            };
            let (of_x_0, of_eps) = network.target(&point).unwrap();
            let x = point.alpha * x_0 + point.sigma * eps;
            let Evaluation { p_u, p_f, .. } = network.at(&point).unwrap();
            let back = p_u * x + p_f * (of_x_0 * x_0 + of_eps * eps);
            assert!((back - x_0).abs() < 1e-9, "{:?}: {back}", network.prediction);
        }
    }

    #[test]
    fn an_edm_network_sees_inputs_and_targets_of_unit_variance() {
        let network = Parameterisation::edm(Edm::PAPER);
        for sigma in [0.002, 0.5, 7.0, 80.0] {
            let point = network.process.at_rho(sigma).unwrap();
            let Evaluation { c_in, t, .. } = network.at(&point).unwrap();
            let (of_x_0, of_eps) = network.target(&point).unwrap();
            let data = Edm::PAPER.sigma_data;
            assert!((c_in.powi(2) * (data.powi(2) + sigma.powi(2)) - 1.0).abs() < 1e-12);
            assert!(((of_x_0 * data).powi(2) + of_eps.powi(2) - 1.0).abs() < 1e-9);
            assert_eq!(t, sigma.ln() / 4.0);
        }
    }

    #[test]
    fn predictions_that_do_not_suit_the_process_are_refused() {
        let jsd = Schedule::new(crate::BetaSchedule::Jsd, 100, 1.0, 1.0).unwrap();
        let network =
            |prediction| Parameterisation::discrete(jsd.clone(), prediction, Variance::FixedSmall);
        assert!(network(Prediction::Eps).check().unwrap_err().to_string().contains("v or x_0"));
        assert!(network(Prediction::V).check().is_ok());
        assert!(network(Prediction::Edm).check().is_err());
        // sqrt(alphas_cumprod) is 2e-7 at its end, beyond the numbers of rows.
        let steep = Schedule::linear(1000, 1e-4, 0.06).unwrap();
        let network = |prediction| {
            Parameterisation::discrete(steep.clone(), prediction, Variance::FixedSmall)
        };
        for prediction in [Prediction::Eps, Prediction::Mean] {
            let error = network(prediction).check().unwrap_err().to_string();
            assert!(error.contains("use v or x_0"), "{error}");
        }
        assert!(network(Prediction::X0).check().is_ok() && network(Prediction::V).check().is_ok());
        let flow = Parameterisation { prediction: Prediction::V, ..Parameterisation::flow() };
        assert!(flow.check().is_err());
    }
}
