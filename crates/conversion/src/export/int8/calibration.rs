//! Watches the model sample, and finds the ranges of what goes through its convolutions.

use std::collections::HashMap;

use ddpm_network::sample::{DrawRequest, compile, draw_with, labels_in_turn};
use ddpm_network::{Inputs, Network};
use ddpm_package::Manifest;
use tch::{Kind, TchError, Tensor};

use super::super::watched::{Watched, Watcher};
use super::histogram::Histogram;
use super::{LayerSpans, Spans, layers};

/// Evaluations to watch, over all timesteps of the sampler.
const EVALS: usize = 1600;
/// Samples at least, however many steps each takes.
const FEWEST_SAMPLES: usize = 4;
/// Samples at most.
const MOST_SAMPLES: usize = 64;
/// Values of a tensor that are counted.
const COUNTED: i64 = 1 << 14;
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

/// Counts of the values around each convolution.
struct Ranges {
    /// By the name of the weight: channels of each part of the input, with the counts.
    inputs: HashMap<String, Vec<(i64, Histogram)>>,
    outputs: HashMap<String, Histogram>,
}

impl Ranges {
    fn new(network: &Network) -> Self {
        let layers = layers(network);
        let outputs = layers.keys().map(|name| (name.clone(), Histogram::default())).collect();
        let parts = |parts: Vec<i64>| {
            parts.into_iter().map(|channels| (channels, Histogram::default())).collect()
        };
        let inputs = layers.into_iter().map(|(name, of)| (name, parts(of))).collect();
        Self { inputs, outputs }
    }

    fn spans(self) -> Spans {
        let Self { inputs, outputs } = self;
        let spans = inputs.into_iter().map(|(name, parts)| {
            let inputs = parts.iter().map(|(_, histogram)| histogram.best()).collect();
            let output = outputs[&name].best();
            (name, LayerSpans { inputs, output })
        });
        spans.collect()
    }
}

impl Watcher for Ranges {
    fn input(&mut self, layer: &str, x: &Tensor) {
        let Some(parts) = self.inputs.get_mut(layer) else { return };
        let mut first = 0;
        for (channels, histogram) in parts {
            count(histogram, &x.narrow(1, first, *channels));
            first += *channels;
        }
    }

    fn output(&mut self, layer: &str, y: &Tensor) {
        if let Some(histogram) = self.outputs.get_mut(layer) {
            count(histogram, y);
        }
    }
}

/// Counts the values of a tensor: all if they are few, otherwise every so many.
fn count(histogram: &mut Histogram, x: &Tensor) {
    let flat = x.reshape([-1]);
    let (low, high) = (flat.min().double_value(&[]) as f32, flat.max().double_value(&[]) as f32);
    // A step that shares no factor with the extents visits all channels and pixels in turn.
    let len = flat.size()[0];
    let step = (len / COUNTED + 1..).find(|step| gcd(*step, len) == 1).unwrap_or(1);
    let sample = flat.slice(0, None, None, step).to_kind(Kind::Float).contiguous();
    let mut values = vec![0.0; sample.numel()];
    sample.copy_data(&mut values, sample.numel());
    histogram.add(&values, low, high);
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
