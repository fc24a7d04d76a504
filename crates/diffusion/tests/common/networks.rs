//! The network that makes no mistake, for every prediction.

use ddpm_diffusion::{
    BetaSchedule, Edm, Parameterisation, Prediction, Process, Row, Schedule, Variance,
};

use super::Mixture;

/// The best network for data of a known distribution.
#[derive(Debug, Clone)]
pub(crate) struct Perfect {
    pub(crate) network: Parameterisation,
    /// With the sample's label, and with none.
    pub(crate) data: [Mixture; 2],
    /// ε is this many times too large; 1 is right.
    pub(crate) eps_scale: f64,
}

/// One network of each kind that predicts something else: eps, x_0 and v on a chain
/// of 1000 steps, EDM's and a flow's.
pub(crate) fn predictions() -> [Parameterisation; 5] {
    let schedule = || Schedule::linear(1000, 1e-4, 0.02).expect("the schedule of Ho et al.");
    let chain =
        |prediction| Parameterisation::discrete(schedule(), prediction, Variance::FixedSmall);
    let [eps, x_0, v] = [Prediction::Eps, Prediction::X0, Prediction::V].map(chain);
    [eps, x_0, v, Parameterisation::edm(Edm::PAPER), Parameterisation::flow()]
}

/// One of each kind whose process begins at pure noise, α = 0: v and x_0 on a chain,
/// and a flow's.
pub(crate) fn from_pure_noise() -> [Parameterisation; 3] {
    let schedule = || Schedule::new(BetaSchedule::Jsd, 1000, 1e-4, 0.02).expect("1/T … 1");
    let chain =
        |prediction| Parameterisation::discrete(schedule(), prediction, Variance::FixedSmall);
    [chain(Prediction::V), chain(Prediction::X0), Parameterisation::flow()]
}

impl Perfect {
    /// One that knows no labels.
    pub(crate) fn new(network: &Parameterisation, data: &Mixture) -> Self {
        Self { network: network.clone(), data: [data.clone(), data.clone()], eps_scale: 1.0 }
    }

    /// α and σ at the timestep that a row tells the network.
    pub(crate) fn place(&self, t: f64) -> (f64, f64) {
        match &self.network.process {
            Process::Discrete(_) => {
                let point = self.network.process.at_timestep(t).expect("a trained timestep");
                (point.alpha, point.sigma)
            }
            Process::Edm(_) => (1.0, (4.0 * t).exp()),
            Process::Flow => (1.0 - t / 1000.0, t / 1000.0),
        }
    }

    /// E[what the network was trained to predict], one list for each eval of the row.
    pub(crate) fn outputs(&self, row: &Row, u: &[f64]) -> Vec<Vec<f64>> {
        use ddpm_diffusion::Evals::{Guided, One, Unconditional, Zero};
        match row.evals {
            Zero => Vec::new(),
            One => vec![self.output(row, u, 0)],
            Unconditional => vec![self.output(row, u, 1)],
            Guided { .. } => vec![self.output(row, u, 0), self.output(row, u, 1)],
        }
    }

    fn output(&self, row: &Row, u: &[f64], label: usize) -> Vec<f64> {
        let (alpha, sigma) = self.place(row.t);
        let seen_scale = match self.network.process {
            Process::Edm(Edm { sigma_data, .. }) => sigma.hypot(sigma_data),
            Process::Discrete(_) | Process::Flow => 1.0,
        };
        let x: Vec<f64> = u.iter().map(|u| row.c_in * u * seen_scale).collect();
        let mut out = vec![0.0; x.len()];
        self.data[label].posterior_mean(alpha, sigma, &x, &mut out);
        for (x, out) in x.iter().zip(&mut out) {
            let eps = (x - alpha * *out) / sigma * self.eps_scale;
            let x_0 = if self.eps_scale == 1.0 { *out } else { (x - sigma * eps) / alpha };
            *out = match (self.network.prediction, &self.network.process) {
                (Prediction::Mean, Process::Discrete(schedule)) => {
                    let (of_x_0, of_x) = schedule.posterior_mean_coefficients(row.t as usize);
                    of_x_0 * x_0 + of_x * *x
                }
                _ => self.target(sigma, alpha, *x, x_0, eps),
            };
        }
        out
    }

    fn target(&self, sigma: f64, alpha: f64, x: f64, x_0: f64, eps: f64) -> f64 {
        match (self.network.prediction, &self.network.process) {
            (Prediction::Eps, _) => eps,
            (Prediction::X0, _) => x_0,
            (Prediction::V, _) => alpha * eps - sigma * x_0,
            (Prediction::Flow, _) => eps - x_0,
            (Prediction::Edm, Process::Edm(Edm { sigma_data, .. })) => {
                let total = sigma.hypot(*sigma_data);
                (x_0 - (sigma_data / total).powi(2) * x) / (sigma * sigma_data / total)
            }
            (other, _) => panic!("no network here predicts {other}"),
        }
    }
}
