//! The rows of one step: collected one by one on the host, then tensors where the network is.

use ddpm_diffusion::{Evaluation, Network, Point, q_sample, target};
use tch::{Device, TchError, Tensor};

use super::{DiffusionConfig, Loss, Term, TrainError, Variational};
use crate::model::Inputs;

/// What one step sees.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u32,
    /// Position of the first row in the whole batch of that step.
    pub first: usize,
    /// What the network sees, c_in x_t: `[B, …shape]`, f32.
    pub x_t: Tensor,
    /// What it is told of the noise, `[B]`: t in 0..T, ln σ / 4 for EDM, 1000 t for a flow.
    pub timestep: Vec<f32>,
    /// `[B]`, for conditional models; K, the number of classes, is "none".
    pub class_labels: Option<Vec<i64>>,
    /// What the network should predict, `[B, …shape]`, f32.
    pub target: Tensor,
    /// How often the squared error of each row counts, `[B]`; absent: once.
    pub weights: Option<Vec<f32>>,
    /// For losses that need the variational bound.
    pub variational: Option<Variational>,
}

impl Batch {
    /// The network's inputs and the target, on `device`.
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
    /// Of one sample.
    shape: Vec<i64>,
    x_t: Vec<f32>,
    target: Vec<f32>,
    /// Left empty where no loss asks for it.
    x_0: Vec<f32>,
    timestep: Vec<f32>,
    /// Of all rows, if the model is conditional.
    pub(super) class_labels: Option<Vec<i64>>,
    weights: Option<Vec<f32>>,
    terms: Option<Vec<Term>>,
}

/// The samples of all rows, `[B, …shape]` each.
#[derive(Debug)]
pub(super) struct Samples {
    /// As in [`Batch`].
    pub(super) x_t: Tensor,
    /// As in [`Batch`].
    pub(super) target: Tensor,
    /// The data.
    pub(super) x_0: Tensor,
}

impl Rows {
    /// The batch of a step before its first row, without labels.
    ///
    /// * `first`: position of that row in the whole batch.
    /// * `shape`: of one sample.
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

    /// Adds a row: a sample and a noise, both `[…shape]`, at a point of the process.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the network predicts nothing at that point.
    pub fn push(
        &mut self,
        diffusion: &DiffusionConfig,
        network: &Network,
        point: &Point,
        x_0: &[f32],
        noise: &[f32],
    ) -> Result<(), TrainError> {
        let Evaluation { c_in, .. } = self.place(diffusion, network, point)?;
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

    /// Adds what a row has besides its samples, which [`Rows::with`] adds for all rows.
    ///
    /// # Errors
    ///
    /// As [`Rows::push`].
    pub(super) fn place(
        &mut self,
        diffusion: &DiffusionConfig,
        network: &Network,
        point: &Point,
    ) -> Result<Evaluation, TrainError> {
        let evaluation = network.at(point)?;
        self.timestep.push(evaluation.t as f32);
        if let Some(weights) = &mut self.weights {
            weights.extend(diffusion.weight(point, &evaluation).map(|weight| weight as f32));
        }
        if let Some(terms) = &mut self.terms {
            terms.push(Term::at(network, point)?);
        }
        Ok(evaluation)
    }

    /// The rows that were pushed, on `device`.
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
        Ok(self.with(samples))
    }

    /// The rows that were placed, with their samples.
    pub(super) fn with(self, samples: Samples) -> Batch {
        let Samples { x_t, target, x_0 } = samples;
        // Pictures have 256 levels, points none.
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
