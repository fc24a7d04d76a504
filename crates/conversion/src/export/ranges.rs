//! Checks that everything inside a network fits into f16, at every timestep.

use ddpm_network::{Inputs, Network};
use ddpm_package::Golden;
use tch::{TchError, Tensor};

use super::watched::{Watched, Watcher};

/// The largest magnitude that a graph of f16 may have inside, half of the largest f16: the golden
/// inputs are few, and others may go further.
pub const LARGEST: f64 = 32_752.0;

/// The largest value inside a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    /// The layer that made it: the name of its weight.
    pub layer: String,
    /// Its magnitude; NaN if the network computes nothing.
    pub magnitude: f64,
    /// The timestep at which it came.
    pub timestep: f32,
}

impl Peak {
    /// Returns whether the network can be computed in f16.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.magnitude <= LARGEST
    }
}

/// Returns the largest result inside the network over the golden inputs, which cover
/// the range of t.
///
/// # Errors
///
/// libtorch's, if memory is short.
pub fn peak(network: &Network, golden: &Golden) -> Result<Peak, TchError> {
    let shape = [&[1], &network.config().sample_shape()[..]].concat();
    let len = golden.sample.len() / golden.count;
    let mut highest = Highest::default();
    // Row by row, so that the timestep is known.
    for (row, &timestep) in golden.timestep.iter().enumerate() {
        highest.timestep = timestep;
        let sample = &golden.sample[row * len..][..len];
        let inputs = Inputs {
            sample: Tensor::f_from_slice(sample)?.f_reshape(&shape[..])?,
            timestep: Tensor::f_from_slice(&[timestep])?,
            class_labels: golden
                .class_labels
                .as_ref()
                .map(|labels| Tensor::f_from_slice(&labels[row..=row]))
                .transpose()?,
        };
        let _output = tch::no_grad(|| network.forward(&Watched::new(&mut highest), &inputs));
    }
    Ok(highest.peak)
}

#[derive(Debug, Default)]
struct Highest {
    timestep: f32,
    peak: Peak,
}

impl Default for Peak {
    fn default() -> Self {
        Self { layer: String::new(), magnitude: 0.0, timestep: 0.0 }
    }
}

impl Watcher for Highest {
    fn result(&mut self, layer: &str, x: &Tensor) {
        let magnitude = x.abs().max().double_value(&[]);
        // A NaN stays the highest.
        if magnitude > self.peak.magnitude || magnitude.is_nan() {
            self.peak = Peak { layer: layer.to_owned(), magnitude, timestep: self.timestep };
        }
    }
}
