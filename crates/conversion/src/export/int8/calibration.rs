//! Watches the model sample, and finds the ranges of what goes through its convolutions.

use std::collections::HashMap;

use ddpm_network::sample::{DrawRequest, compile, draw_with, labels_in_turn};
use ddpm_network::{Inputs, Network};
use ddpm_package::Manifest;
use tch::{TchError, Tensor};

use super::super::watched::{Watched, Watcher};
use super::{LayerSpans, Span, Spans, layers};

/// Evaluations to watch, over all timesteps of the sampler.
const EVALS: usize = 1600;
/// Samples at least, however many steps each takes.
const FEWEST_SAMPLES: usize = 4;
/// Samples at most.
const MOST_SAMPLES: usize = 64;
/// Seed of the samples: not the one that people look at first.
const SEED: u64 = 0x1508;

/// The reason why ranges cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The default sampler does not suit the network.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}

/// Returns the ranges around the convolutions of a network while it draws samples with the model's
/// default sampler: at every timestep that it visits, with the labels in turn.
///
/// # Errors
///
/// [`CalibrateError`].
pub fn calibrate(network: &Network, manifest: &Manifest) -> Result<Spans, CalibrateError> {
    let parameterisation = manifest.parameterisation()?;
    let program = compile(&parameterisation, manifest.kind, &manifest.default_sampler)?;
    let evals = program.rows().iter().map(|row| row.evals.with_label().len()).sum::<usize>();
    let count = (EVALS / evals.max(1)).clamp(FEWEST_SAMPLES, MOST_SAMPLES);
    let labels = labels_in_turn(manifest.classes.len(), count);
    let labels = labels.as_deref();
    let request = DrawRequest { program: &program, seed: SEED, count, labels, initial: None };
    let mut ranges = Ranges::new(network);
    let sample_shape = network.config().sample_shape();
    let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
        let shape = [&[timestep.len() as i64], &sample_shape[..]].concat();
        let inputs = Inputs {
            sample: Tensor::f_from_slice(sample)?.f_reshape(&shape[..])?,
            timestep: Tensor::f_from_slice(timestep)?,
            class_labels: labels.map(Tensor::f_from_slice).transpose()?,
        };
        let output = tch::no_grad(|| network.forward(&Watched::new(&mut ranges), &inputs));
        let mut values = vec![0.0; output.numel()];
        output.f_contiguous()?.f_copy_data(&mut values, output.numel())?;
        Ok::<_, TchError>(values)
    };
    let none = network.config().num_classes();
    draw_with(manifest.sample_len(), none, &request, 0..count, evaluate, |_| ())?;
    Ok(ranges.spans())
}

/// What was seen around each convolution.
struct Ranges {
    /// By the name of the weight: channels of each part of the input, with its range.
    inputs: HashMap<String, Vec<(i64, Span)>>,
    outputs: HashMap<String, Span>,
}

impl Ranges {
    fn new(network: &Network) -> Self {
        let layers = layers(network);
        let outputs = layers.keys().map(|name| (name.clone(), Span::default())).collect();
        let parts = |parts: Vec<i64>| {
            parts.into_iter().map(|channels| (channels, Span::default())).collect()
        };
        let inputs = layers.into_iter().map(|(name, of)| (name, parts(of))).collect();
        Self { inputs, outputs }
    }

    fn spans(self) -> Spans {
        let Self { inputs, outputs } = self;
        let spans = inputs.into_iter().map(|(name, parts)| {
            let inputs = parts.into_iter().map(|(_, span)| span).collect();
            let output = outputs[&name];
            (name, LayerSpans { inputs, output })
        });
        spans.collect()
    }
}

impl Watcher for Ranges {
    fn input(&mut self, layer: &str, x: &Tensor) {
        let Some(parts) = self.inputs.get_mut(layer) else { return };
        let mut first = 0;
        for (channels, span) in parts {
            widen(span, &x.narrow(1, first, *channels));
            first += *channels;
        }
    }

    fn output(&mut self, layer: &str, y: &Tensor) {
        if let Some(span) = self.outputs.get_mut(layer) {
            widen(span, y);
        }
    }
}

/// Makes a range hold all values of a tensor.
fn widen(span: &mut Span, x: &Tensor) {
    span.low = span.low.min(x.min().double_value(&[]) as f32);
    span.high = span.high.max(x.max().double_value(&[]) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_zero_and_all_that_was_seen() {
        let mut span = Span::default();
        widen(&mut span, &Tensor::from_slice(&[2.0f32, 3.0]));
        assert_eq!(span, Span { low: 0.0, high: 3.0 });
        widen(&mut span, &Tensor::from_slice(&[-1.5f32, 0.25]));
        assert_eq!(span, Span { low: -1.5, high: 3.0 });
    }
}
