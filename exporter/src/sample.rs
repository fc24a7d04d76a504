//! Sampling in libtorch: the same programs, kernel and noise as the server's, so the same samples up
//! to the last bits of the network's arithmetic.

use ddpm_diffusion::{
    Clip, Evals, Kernel, Noise, Parameterization, Prediction, Program, Row, Schedule, State,
    samplers,
};
use ddpm_package::{DefaultSampler, Kind, SamplerSpec};
use tch::{Device, TchError, Tensor};

use crate::model::{Eager, Inputs, Network};

/// Numbers that go through the network together: 64 pictures of 3×64×64. It changes no sample's noise.
const BATCH_ELEMENTS: usize = 64 * 3 * 64 * 64;
/// Most samples that go through the network together.
const MAX_BATCH: usize = 1024;

/// What to draw.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The sampler, compiled.
    pub program: &'a Program,
    /// Seed of the noise.
    pub seed: u64,
    /// How many samples; their indices are 0 to count − 1.
    pub count: usize,
    /// For conditional models, one a sample: 0..K, or K for none.
    pub labels: Option<&'a [i64]>,
}

/// The sampler that suits a model: DDIM in 50 steps for pictures, the whole chain for points and for
/// networks that predict the mean, which know no other.
#[must_use]
pub fn default_sampler(kind: Kind, prediction: Prediction, timesteps: usize) -> DefaultSampler {
    use ddpm_diffusion::GridKind;
    if kind == Kind::Points2d || prediction == Prediction::Mean {
        return DefaultSampler {
            sampler: SamplerSpec::Ddpm,
            num_steps: timesteps,
            grid: GridKind::Leading,
        };
    }
    DefaultSampler {
        sampler: SamplerSpec::Ddim { eta: 0.0 },
        num_steps: timesteps.min(50),
        // It starts where the noise is strongest; `leading` stops short of it.
        grid: GridKind::Trailing,
    }
}

/// Compiles a sampler for a model. Predictions of x_0 are clipped to [−1, 1] for pictures only.
///
/// # Errors
///
/// If the number of steps is not in 1..=T, or the sampler does not suit the network.
pub fn compile(
    schedule: &Schedule,
    network: Parameterization,
    kind: Kind,
    sampler: &DefaultSampler,
) -> Result<Program, ddpm_diffusion::Error> {
    let grid = sampler.grid.grid(schedule.timesteps(), sampler.num_steps)?;
    let clip = match kind {
        Kind::Image => Clip::Unit,
        Kind::Points2d => Clip::None,
    };
    match sampler.sampler {
        SamplerSpec::Ddpm => samplers::ddpm(schedule, network, &grid, clip, network.variance),
        SamplerSpec::Ddim { eta } => {
            let options = samplers::Ddim { eta, ..Default::default() };
            samplers::ddim(schedule, network, &grid, clip, &options)
        }
    }
}

/// Draws samples, `[count, …sample shape]`.
///
/// # Errors
///
/// libtorch's, if memory is short.
///
/// # Panics
///
/// If the labels are not one a sample, or are there for an unconditional network.
pub fn draw(
    network: &Network,
    device: Device,
    request: &Request<'_>,
) -> Result<Vec<f32>, TchError> {
    let len = network.config().sample_shape().iter().product::<i64>() as usize;
    let indices: Vec<usize> = (0..request.count).collect();
    let mut samples = Vec::with_capacity(request.count * len);
    for chunk in indices.chunks((BATCH_ELEMENTS / len).clamp(1, MAX_BATCH)) {
        let labels = request.labels.map(|labels| &labels[chunk[0]..][..chunk.len()]);
        let part = Part { network, device, labels, len };
        samples.extend(part.draw(request, chunk)?);
    }
    Ok(samples)
}

/// Samples that go through the program together, all at the same row.
struct Part<'a> {
    network: &'a Network,
    device: Device,
    labels: Option<&'a [i64]>,
    len: usize,
}

impl Part<'_> {
    fn draw(&self, request: &Request<'_>, indices: &[usize]) -> Result<Vec<f32>, TchError> {
        let (program, noise) = (request.program, Noise::new(request.seed));
        let start = |&index: &usize| State::<f32>::start(program, &noise, index as u64, self.len);
        let mut states: Vec<_> = indices.iter().map(start).collect();
        let mut kernel = Kernel::new(self.len);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = self.evaluate(row, &states)?;
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

    /// The network's outputs on all samples, one an eval of the row.
    fn evaluate(&self, row: &Row, states: &[State<f32>]) -> Result<Vec<Vec<f32>>, TchError> {
        let none = self.network.config().num_classes().map(|none| vec![none; states.len()]);
        match row.evals {
            Evals::Zero => Ok(Vec::new()),
            Evals::One => Ok(vec![self.forward(row, states, self.labels)?]),
            Evals::Guided { .. } => Ok(vec![
                self.forward(row, states, self.labels)?,
                self.forward(row, states, none.as_deref())?,
            ]),
        }
    }

    fn forward(
        &self,
        row: &Row,
        states: &[State<f32>],
        labels: Option<&[i64]>,
    ) -> Result<Vec<f32>, TchError> {
        let c_in = row.c_in as f32;
        let values: Vec<f32> = states
            .iter()
            .flat_map(State::u)
            .map(|u| if c_in == 1.0 { *u } else { c_in * *u })
            .collect();
        let timestep = vec![row.t as f32; states.len()];
        forward(self.network, self.device, &values, &timestep, labels)
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
    let output = tch::no_grad(|| network.forward(&Eager { train: false }, &inputs));
    let output = output.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; output.numel()];
    output.f_copy_data(&mut values, output.numel())?;
    Ok(values)
}
