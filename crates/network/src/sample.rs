//! Sampling in libtorch: programs, kernel and noise are the server's, so samples differ from the
//! server's only in the last bits of the network's arithmetic.

use std::ops::Range;

use ddpm_diffusion::samplers::{Ddim, Ddpm, FlowEuler, Heun};
use ddpm_diffusion::{
    GridSpec, Kernel, Noise, Parameterisation, Prediction, Process, Program, Recipe, Row, State,
};
use ddpm_package::{DefaultSampler, Kind};
use tch::{Device, TchError, Tensor};

use crate::{Eager, Inputs, Network};

/// Values per batch: 64 pictures of 3×64×64. The noise of a sample does not depend on it.
const BATCH_ELEMENTS: usize = 64 * 3 * 64 * 64;
/// Most samples per batch.
const MAX_BATCH: usize = 1024;

/// The samples to draw.
#[derive(Debug, Clone)]
pub struct DrawRequest<'a> {
    /// The sampler, compiled.
    pub program: &'a Program,
    /// Seed of the noise.
    pub seed: u64,
    /// Number of samples; their indices are 0 to count − 1.
    pub count: usize,
    /// For conditional models, one per sample: 0..K, or K for "no label".
    pub labels: Option<&'a [i64]>,
    /// Initial states, which samples take in turn; absent: draw 0 of their noise.
    pub initial: Option<&'a [Vec<f32>]>,
}

/// Returns the sampler that suits a model: EDM's Heun and a flow's Euler for networks on continuous
/// noise, DDIM in 50 steps for pictures, the whole chain for points and for networks that predict
/// the mean, which support no other.
#[must_use]
pub fn default_sampler(kind: Kind, network: &Parameterisation) -> DefaultSampler {
    let chain = DefaultSampler {
        sampler: Ddpm { variance: None }.into(),
        num_steps: 0,
        grid: GridSpec::Leading { offset: 0 },
    };
    match &network.process {
        Process::Edm(_) => DefaultSampler {
            sampler: Heun.into(),
            num_steps: 18,
            grid: GridSpec::Karras { rho: 7.0 },
        },
        Process::Flow => DefaultSampler {
            sampler: FlowEuler.into(),
            num_steps: 50,
            grid: GridSpec::Flow { shift: 1.0 },
        },
        Process::Discrete(schedule)
            if kind == Kind::Points2d || network.prediction == Prediction::Mean =>
        {
            DefaultSampler { num_steps: schedule.timesteps(), ..chain }
        }
        Process::Discrete(schedule) => DefaultSampler {
            sampler: Ddim { eta: 0.0, ..Ddim::DEFAULT }.into(),
            num_steps: schedule.timesteps().min(50),
            // It starts where the noise is strongest; `leading` stops short of it.
            grid: GridSpec::Trailing,
        },
    }
}

/// Returns the labels 0, 1, … K−1, 0, … of `count` samples; `None` for a model without classes.
#[must_use]
pub fn labels_in_turn(num_classes: usize, count: usize) -> Option<Vec<i64>> {
    (num_classes > 0).then(|| (0..count).map(|i| (i % num_classes) as i64).collect())
}

/// Compiles a sampler for a model: from noise, without guidance.
///
/// # Errors
///
/// If the number of steps does not suit the grid, or the sampler does not suit the network.
pub fn compile(
    network: &Parameterisation,
    kind: Kind,
    sampler: &DefaultSampler,
) -> Result<Program, ddpm_diffusion::Error> {
    Recipe {
        grid: sampler.grid.clone(),
        num_steps: sampler.num_steps,
        clip: kind.default_clip(sampler.sampler),
        ..Recipe::new(sampler.sampler, network)
    }
    .compile(network)
}

/// Returns the batch size for samples of `len` values.
#[must_use]
pub fn batch_size(len: usize) -> usize {
    (BATCH_ELEMENTS / len).clamp(1, MAX_BATCH)
}

/// Draws samples, `[count, …sample shape]`.
///
/// # Errors
///
/// libtorch's, if memory is short.
///
/// # Panics
///
/// If there is not one label per sample of a conditional network, or an unconditional one has
/// labels; if the list of initial states is empty, or one is not as long as a sample.
pub fn draw(
    network: &Network,
    device: Device,
    request: &DrawRequest<'_>,
) -> Result<Vec<f32>, TchError> {
    draw_range(network, device, request, 0..request.count)
}

/// Draws the samples of a [`draw`] with indices in a range: `[indices, …sample shape]`.
///
/// # Errors
///
/// As [`draw`].
///
/// # Panics
///
/// As [`draw`].
pub fn draw_range(
    network: &Network,
    device: Device,
    request: &DrawRequest<'_>,
    indices: Range<usize>,
) -> Result<Vec<f32>, TchError> {
    let config = network.config();
    let len = config.sample_shape().iter().product::<i64>() as usize;
    let mut values = Vec::with_capacity(indices.len() * len);
    let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
        forward(network, device, sample, timestep, labels)
    };
    let none = config.num_classes();
    draw_with(len, none, request, indices, evaluate, |part| values.extend(part))?;
    Ok(values)
}

/// Draws the samples with indices in a range, with any evaluator of the network, batch by batch.
///
/// * `len`: values per sample; `none`: the label of a conditional network that means "no label".
/// * `evaluate`: turns `[B, …sample shape]`, timesteps `[B]` and labels `[B]` into outputs
///   `[B, …]`.
/// * `done`: takes each batch, `[B, …sample shape]`, in the order of the indices.
///
/// # Errors
///
/// Those of `evaluate`.
///
/// # Panics
///
/// As [`draw`].
pub fn draw_with<E>(
    len: usize,
    none: Option<i64>,
    request: &DrawRequest<'_>,
    indices: Range<usize>,
    mut evaluate: impl FnMut(&[f32], &[f32], Option<&[i64]>) -> Result<Vec<f32>, E>,
    mut done: impl FnMut(Vec<f32>),
) -> Result<(), E> {
    let indices: Vec<usize> = indices.collect();
    for chunk in indices.chunks(batch_size(len)) {
        let labels = request.labels.map(|labels| &labels[chunk[0]..][..chunk.len()]);
        let mut part = Part { evaluate: &mut evaluate, none, labels, len };
        done(part.draw(request, chunk)?);
    }
    Ok(())
}

/// Draws one batch: its samples go through the program together, all at the same row.
struct Part<'a, F> {
    evaluate: &'a mut F,
    none: Option<i64>,
    labels: Option<&'a [i64]>,
    len: usize,
}

impl<E, F: FnMut(&[f32], &[f32], Option<&[i64]>) -> Result<Vec<f32>, E>> Part<'_, F> {
    fn draw(&mut self, request: &DrawRequest<'_>, indices: &[usize]) -> Result<Vec<f32>, E> {
        let (program, noise) = (request.program, Noise::new(request.seed));
        let start = |&index: &usize| match request.initial {
            Some(initial) => State::from_point(program, initial[index % initial.len()].clone()),
            None => State::start(program, &noise, index as u64, self.len),
        };
        let mut states: Vec<State<f32>> = indices.iter().map(start).collect();
        let mut kernel = Kernel::new(self.len);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = self.outputs(row, &states)?;
            for (i, (state, &index)) in states.iter_mut().zip(indices).enumerate() {
                let of_sample: Vec<&[f32]> = outputs
                    .iter()
                    .map(|output| {
                        let len = output.len() / indices.len();
                        &output[i * len..][..len]
                    })
                    .collect();
                kernel.advance(row, position, state, &of_sample, &noise, index as u64, None);
            }
        }
        Ok(states.iter().flat_map(State::u).copied().collect())
    }

    /// Evaluates the network on all samples, once per eval of the row.
    fn outputs(&mut self, row: &Row, states: &[State<f32>]) -> Result<Vec<Vec<f32>>, E> {
        let none = self.none.map(|none| vec![none; states.len()]);
        let (labels, none) = (self.labels, none.as_deref());
        let with_label = row.evals.with_label().iter();
        with_label.map(|own| self.output(row, states, if *own { labels } else { none })).collect()
    }

    fn output(
        &mut self,
        row: &Row,
        states: &[State<f32>],
        labels: Option<&[i64]>,
    ) -> Result<Vec<f32>, E> {
        let c_in = row.c_in as f32;
        let values: Vec<f32> = states
            .iter()
            .flat_map(State::u)
            .map(|u| if c_in == 1.0 { *u } else { c_in * *u })
            .collect();
        let timestep = vec![row.t as f32; states.len()];
        (self.evaluate)(&values, &timestep, labels)
    }
}

/// Evaluates a network on rows from the host, without gradients: `[B, …output shape]`.
///
/// * `sample`: `[B, …sample shape]`; `timestep` and `class_labels`: `[B]`.
///
/// # Errors
///
/// libtorch's, if memory is short.
pub fn forward(
    network: &Network,
    device: Device,
    sample: &[f32],
    timestep: &[f32],
    class_labels: Option<&[i64]>,
) -> Result<Vec<f32>, TchError> {
    let shape = [&[timestep.len() as i64], &network.config().sample_shape()[..]].concat();
    let inputs = Inputs {
        sample: Tensor::f_from_slice(sample)?.f_reshape(&shape[..])?.f_to_device(device)?,
        timestep: Tensor::f_from_slice(timestep)?.f_to_device(device)?,
        class_labels: class_labels
            .map(|labels| Tensor::f_from_slice(labels)?.f_to_device(device))
            .transpose()?,
    };
    let output = tch::no_grad(|| network.forward(&Eager { train: false, masks: None }, &inputs));
    let output = output.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; output.numel()];
    output.f_copy_data(&mut values, output.numel())?;
    Ok(values)
}
