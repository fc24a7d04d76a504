//! The point of the process at which an item is trained, and the weight of its loss there.

use ddpm_diffusion::{Evaluation, Point, Process};

use crate::batching::draws::StepDraws;
use crate::config::{DiffusionConfig, EdmConfig};

impl DiffusionConfig {
    /// Draws the point of the process at which one item of a batch is trained.
    ///
    /// t is uniform over the timesteps, or over the line of a flow; ln σ of EDM is normal.
    ///
    /// # Errors
    ///
    /// Never for a process of this configuration.
    pub(super) fn draw_point(
        &self,
        process: &Process,
        draws: &StepDraws,
        step: u32,
        position: usize,
    ) -> Result<Point, ddpm_diffusion::Error> {
        match process {
            Process::Discrete(schedule) => {
                let t = draws.timestep(step, position, schedule.timesteps());
                process.at_timestep(t as f64)
            }
            Process::Edm(_) => {
                let EdmConfig { p_mean, p_std, .. } = self.edm;
                process.at_rho((p_mean + p_std * draws.level(step, position)).exp())
            }
            Process::Flow => {
                // The centre of one of 2^20 cells: never an end, where data or noise is missing.
                let cells = 1 << 20;
                let time = (draws.timestep(step, position, cells) as f64 + 0.5) / cells as f64;
                process.at_rho(time / (1.0 - time))
            }
        }
    }

    /// Returns the weight of the squared error of a prediction; `None` for 1.
    ///
    /// An error of F is one of p_F F in x_0, so min(SNR, γ) p_F² is the weight of the paper for
    /// every prediction: min(SNR, γ) / SNR for eps, min(SNR, γ) / (SNR + 1) for v.
    pub(super) fn loss_weight(&self, point: &Point, evaluation: &Evaluation) -> Option<f64> {
        let snr = (point.alpha / point.sigma).powi(2);
        self.min_snr.map(|gamma| snr.min(gamma) * evaluation.p_f.powi(2))
    }
}
