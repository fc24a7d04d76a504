//! Rows once more, in the plainest f64, with a state that a test may set.

use ddpm_diffusion::{Evals, Mix, Row};

/// What a sample carries from row to row.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) u: Vec<f64>,
    pub(crate) y: Vec<f64>,
    pub(crate) history: [Vec<f64>; 3],
}

impl Sample {
    /// The state before the first row.
    pub(crate) fn at(u: &[f64]) -> Self {
        let empty = || vec![0.0; u.len()];
        Self { u: u.to_vec(), y: u.to_vec(), history: [empty(), empty(), empty()] }
    }

    /// Applies a row without clip, mask or variance channels.
    ///
    /// * `outputs`: of the network, one an eval.
    /// * `z`: the noise, already scaled where the row scales it.
    pub(crate) fn apply(&mut self, row: &Row, outputs: &[Vec<f64>], z: &[f64]) {
        let now = self.clone();
        let [h1, h2, h3] = &now.history;
        for i in 0..now.u.len() {
            let f = match row.evals {
                Evals::Zero => 0.0,
                Evals::One | Evals::Unconditional => outputs[0][i],
                Evals::Guided { scale } => scale * outputs[0][i] + (1.0 - scale) * outputs[1][i],
            };
            let (u, y) = (now.u[i], now.y[i]);
            let x_0 = row.x_0.p_u * u + row.x_0.p_f * f;
            let mix = |of: &Mix| {
                let history = of.h[0] * h1[i] + of.h[1] * h2[i] + of.h[2] * h3[i];
                of.u * u + of.y * y + of.x_0 * x_0 + of.f * f + history + of.z * z[i]
            };
            (self.u[i], self.y[i]) = (mix(&row.u), mix(&row.y));
            if let Some(push) = row.push {
                let latest = push.u * u + push.x_0 * x_0 + push.f * f;
                [self.history[0][i], self.history[1][i], self.history[2][i]] =
                    [latest, h1[i], h2[i]];
            }
        }
    }
}
