//! The rows of one step: collected one by one on the host, then turned into tensors on the device.

use ddpm_diffusion::{BoundTerm, Evaluation, Parameterisation, Point, q_sample, target};
use ddpm_network::Inputs;
use tch::{Device, TchError, Tensor};

use crate::config::{DiffusionConfig, Loss};
use crate::error::TrainError;

/// The rows of one step, or some of them.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u32,
    /// Position of the first row in the whole batch of that step.
    pub first: usize,
    /// The network's input, c_in x_t: `[B, …shape]`, f32.
    pub x_t: Tensor,
    /// Its noise level, `[B]`: t in 0..T, ln σ / 4 for EDM, 1000 t for a flow.
    pub timestep: Vec<f32>,
    /// `[B]`, for conditional models; K, the number of classes, means "none".
    pub class_labels: Option<Vec<i64>>,
    /// The prediction to learn, `[B, …shape]`, f32.
    pub target: Tensor,
    /// The weight of the squared error of each row, `[B]`; absent: 1.
    pub weights: Option<Vec<f32>>,
    /// For losses that need the variational bound.
    pub variational: Option<Variational>,
}

/// What the variational bound needs of the rows of a batch.
#[derive(Debug, PartialEq)]
pub struct Variational {
    /// The data, `[B, …shape]`.
    pub x_0: Tensor,
    /// One per row.
    pub terms: Vec<BoundTerm>,
    /// Whether x_0 are pictures of 256 levels, whose probability is that of a bin.
    pub discretised: bool,
}

impl Batch {
    /// Returns the network's inputs and the target, on `device`.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    pub fn tensors(&self, device: Device) -> Result<(Inputs<Tensor>, Tensor), TchError> {
        let labels = self.class_labels.as_deref();
        let inputs = Inputs {
            sample: self.x_t.f_to_device(device)?,
            timestep: Tensor::f_from_slice(&self.timestep)?.f_to_device(device)?,
            class_labels: labels
                .map(|labels| Tensor::f_from_slice(labels)?.f_to_device(device))
                .transpose()?,
        };
        Ok((inputs, self.target.f_to_device(device)?))
    }
}

/// The rows of a step while they are collected.
#[derive(Debug)]
pub struct Rows {
    step: u32,
    first: usize,
    /// The shape of one sample.
    shape: Vec<i64>,
    x_t: Vec<f32>,
    target: Vec<f32>,
    /// Empty unless the loss needs it.
    x_0: Vec<f32>,
    timestep: Vec<f32>,
    /// One per row, if the model is conditional.
    pub(crate) class_labels: Option<Vec<i64>>,
    weights: Option<Vec<f32>>,
    terms: Option<Vec<BoundTerm>>,
}

/// The samples of all rows, each `[B, …shape]`.
#[derive(Debug)]
pub(crate) struct Samples {
    /// As in [`Batch`].
    pub(crate) x_t: Tensor,
    /// As in [`Batch`].
    pub(crate) target: Tensor,
    /// The data.
    pub(crate) x_0: Tensor,
}

impl Rows {
    /// Begins the batch of a step, with no rows and no labels.
    ///
    /// * `first`: position of the first row in the whole batch.
    /// * `shape`: the shape of one sample.
    #[must_use]
    pub fn begin(step: u32, first: usize, shape: Vec<i64>, diffusion: &DiffusionConfig) -> Self {
        Self {
            step,
            first,
            shape,
            x_t: Vec::new(),
            target: Vec::new(),
            x_0: Vec::new(),
            timestep: Vec::new(),
            class_labels: None,
            weights: diffusion.min_snr.map(|_| Vec::new()),
            terms: (diffusion.loss() != Loss::Mse).then(Vec::new),
        }
    }

    /// Adds a row: a sample and its noise, both `[…shape]`, at a point of the process.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the prediction is undefined at that point.
    pub fn push(
        &mut self,
        diffusion: &DiffusionConfig,
        network: &Parameterisation,
        point: &Point,
        x_0: &[f32],
        noise: &[f32],
    ) -> Result<(), TrainError> {
        let Evaluation { c_in, .. } = self.push_point(diffusion, network, point)?;
        let start = self.x_t.len();
        self.x_t.resize(start + x_0.len(), 0.0);
        self.target.resize(start + x_0.len(), 0.0);
        q_sample(point, x_0, noise, &mut self.x_t[start..]);
        target(network, point, x_0, noise, &mut self.target[start..])?;
        if c_in != 1.0 {
            self.x_t[start..].iter_mut().for_each(|x| *x *= c_in as f32);
        }
        if self.terms.is_some() {
            self.x_0.extend_from_slice(x_0);
        }
        Ok(())
    }

    /// Adds a row without its samples, which [`Rows::with_samples`] adds for all rows at once.
    ///
    /// # Errors
    ///
    /// As [`Rows::push`].
    pub(crate) fn push_point(
        &mut self,
        diffusion: &DiffusionConfig,
        network: &Parameterisation,
        point: &Point,
    ) -> Result<Evaluation, TrainError> {
        let evaluation = network.at(point)?;
        self.timestep.push(evaluation.t as f32);
        if let Some(weights) = &mut self.weights {
            weights.extend(diffusion.loss_weight(point, &evaluation).map(|weight| weight as f32));
        }
        if let Some(terms) = &mut self.terms {
            terms.push(BoundTerm::at(network, point)?);
        }
        Ok(evaluation)
    }

    /// Turns the rows that were pushed into a batch on `device`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Torch`] if memory is short.
    pub fn finish(self, device: Device) -> Result<Batch, TrainError> {
        let shape = |rows: usize| [&[rows as i64], &self.shape[..]].concat();
        let tensor = |values: &[f32], rows: usize| {
            Tensor::f_from_slice(values)?.f_reshape(shape(rows))?.f_to_device(device)
        };
        let rows = self.timestep.len();
        let samples = Samples {
            x_t: tensor(&self.x_t, rows)?,
            target: tensor(&self.target, rows)?,
            x_0: tensor(&self.x_0, if self.terms.is_some() { rows } else { 0 })?,
        };
        Ok(self.with_samples(samples))
    }

    /// Completes the rows with their samples.
    pub(crate) fn with_samples(self, samples: Samples) -> Batch {
        let Samples { x_t, target, x_0 } = samples;
        // Pictures have 256 levels; points are continuous.
        let discretised = self.shape.len() == 3;
        Batch {
            step: self.step,
            first: self.first,
            x_t,
            timestep: self.timestep,
            class_labels: self.class_labels,
            target,
            weights: self.weights,
            variational: self.terms.map(|terms| Variational { x_0, terms, discretised }),
        }
    }
}
