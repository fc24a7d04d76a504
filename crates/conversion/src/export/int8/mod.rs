//! The int8 dialect: the portable graph with convolutions on 8-bit integers.
//!
//! * `calibration`: the ranges that values have, while the model samples;
//! * `convolution`: a convolution with quantised operands, as ONNX Runtime fuses it.
//!
//! Activations are u8, one scale per tensor; weights are i8, one scale per output channel. The
//! first and the last convolution, norms, the products inside attention and the time path stay
//! f32. Where a convolution reads a concatenation, as those across skip connections do, each part
//! has a scale of its own.
//!
//! A range holds all that was seen. A narrower one is nearer to single values, and its samples are
//! worse: what is rounded is right on average, what is cut off is not
//! (`docs/benchmarks/2026-11-30-graphs.md`).
//!
//! # Source
//!
//! Li et al. 2023 (Q-Diffusion), section 4, <https://arxiv.org/abs/2302.04304>: ranges over
//! timesteps, and skip connections apart.

mod calibration;
mod convolution;

use std::collections::HashMap;

use ddpm_network::{ModelConfig, Network};

use super::graph::{self, GraphError};
use super::tape::{Call, Step, Tape};

pub use calibration::{CalibrateError, calibrate};
pub(crate) use convolution::Quantised;

/// The range of a tensor; it contains 0, which padding adds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span {
    /// At most 0.
    pub low: f32,
    /// At least 0.
    pub high: f32,
}

/// The ranges around a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpans {
    /// One per part of the input.
    pub inputs: Vec<Span>,
    /// The result's.
    pub output: Span,
}

/// The ranges around every convolution that is quantised, by the name of its weight.
pub type Spans = HashMap<String, LayerSpans>;

/// Writes the int8 graph: opset 21, ONNX's own operators only.
///
/// * `spans`: from [`calibrate`].
/// * `metadata`: the file's key-value pairs.
///
/// # Errors
///
/// [`GraphError::NoConvolutions`] for networks of points; otherwise as
/// [`portable`](super::graph::portable).
pub fn int8(
    network: &Network,
    spans: Spans,
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, GraphError> {
    if matches!(network.config(), ModelConfig::Toy(_)) {
        return Err(GraphError::NoConvolutions);
    }
    graph::quantised(network, spans, metadata)
}

/// Returns the convolutions to quantise: for each, by the name of its weight, the channels of the
/// parts of its input.
fn layers(network: &Network) -> HashMap<String, Vec<i64>> {
    let steps = Tape::record(network);
    let convolutions: Vec<(&Step, &str)> = steps.iter().filter_map(convolution).collect();
    let inner = convolutions.len().saturating_sub(1);
    let parts = |step: &Step| {
        let input = &steps[step.inputs[0]];
        match input.call {
            Call::Concat => input.inputs.iter().map(|&part| steps[part].shape[0]).collect(),
            _ => vec![input.shape[0]],
        }
    };
    let quantised = convolutions[..inner].iter().skip(1);
    quantised.map(|(step, weight)| ((*weight).to_owned(), parts(step))).collect()
}

fn convolution(step: &Step) -> Option<(&Step, &str)> {
    match &step.call {
        Call::Conv { weight, .. } | Call::PixelLinear { weight, .. } => Some((step, &weight.name)),
        _ => None,
    }
}
