//! The exponential moving average of the weights, which gives better samples than the weights.

use ddpm_network::Network;
use ddpm_torch::lerp;
use tch::Tensor;

use crate::error::TrainError;

/// A second network whose weights follow those of the first.
#[derive(Debug)]
pub struct Ema {
    network: Network,
    averages: Vec<Tensor>,
    decay: f64,
}

impl Ema {
    /// Takes a network with the same weights as the one to follow.
    ///
    /// * `decay`: the limit of the decay, in [0, 1).
    #[must_use]
    pub fn new(network: Network, decay: f64) -> Self {
        let averages = network.parameters().into_iter().map(|(_, tensor)| tensor).collect();
        Self { network, averages, decay }
    }

    /// Moves the averages towards `parameters` after update `number`, from 0.
    ///
    /// # Errors
    ///
    /// [`TrainError::Shim`] if they belong to another network.
    pub fn update(&mut self, parameters: &[Tensor], number: u32) -> Result<(), TrainError> {
        Ok(lerp(&self.averages, parameters, 1.0 - decay_at(self.decay, number))?)
    }

    /// Returns the network whose weights are the averages.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// Returns min(decay, (1 + n) / (10 + n)): the first averages must forget the random start soon.
fn decay_at(decay: f64, number: u32) -> f64 {
    let n = f64::from(number);
    decay.min((1.0 + n) / (10.0 + n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decay_warms_up_as_in_the_reference() {
        for (number, expected) in [(0, 0.1), (1, 2.0 / 11.0), (2, 0.25), (89_991, 0.9999)] {
            assert!((decay_at(0.9999, number) - expected).abs() < 1e-15, "{number}");
        }
        // It reaches 0.9999 where (1 + n)/(10 + n) does: n = 89,990 − 1 is still below.
        assert!(decay_at(0.9999, 89_980) < 0.9999);
        assert_eq!(decay_at(0.5, 1_000_000), 0.5);
    }
}
