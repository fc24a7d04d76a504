//! What one step sees: x_t, t, labels and the target, from the data set and the draws.

use std::ops::Range;
use std::sync::Arc;

use ddpm_diffusion::{Evaluation, Network, q_sample, target};
use tch::{Device, TchError, Tensor};

use super::validate::sample_shape;
use super::{
    DiffusionConfig, Draws, Loss, Order, Term, TrainConfig, TrainError, Trainer, Variational,
};
use crate::data::{Dataset, Kind};
use crate::model::Inputs;

/// The rows of one step, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u32,
    /// Shape of one sample.
    pub shape: Vec<i64>,
    /// What the network sees, c_in x_t: `[B, …shape]`.
    pub x_t: Vec<f32>,
    /// What it is told of the noise, `[B]`: t in 0..T, ln σ / 4 for EDM, 1000 t for a flow.
    pub timestep: Vec<f32>,
    /// `[B]`, for conditional models; K, the number of classes, is "none".
    pub class_labels: Option<Vec<i64>>,
    /// What the network should predict, `[B, …shape]`.
    pub target: Vec<f32>,
    /// For losses that need the variational bound.
    pub variational: Option<Variational>,
}

impl Batch {
    /// The network's inputs and the target, as tensors on `device`.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    pub fn tensors(&self, device: Device) -> Result<(Inputs<Tensor>, Tensor), TchError> {
        let shape: Vec<i64> = [&[self.timestep.len() as i64], &self.shape[..]].concat();
        let samples = |values: &[f32]| {
            Tensor::f_from_slice(values)?.f_reshape(&shape[..])?.f_to_device(device)
        };
        let labels = self.class_labels.as_deref();
        let inputs = Inputs {
            sample: samples(&self.x_t)?,
            timestep: Tensor::f_from_slice(&self.timestep)?.f_to_device(device)?,
            class_labels: labels
                .map(|labels| Tensor::f_from_slice(labels)?.f_to_device(device))
                .transpose()?,
        };
        Ok((inputs, samples(&self.target)?))
    }
}

/// Makes the batch of any step.
#[derive(Debug)]
pub struct Batches {
    dataset: Arc<Dataset>,
    order: Order,
    draws: Draws,
    diffusion: DiffusionConfig,
    network: Network,
    num_classes: Option<usize>,
    label_dropout: f64,
    /// Which positions of the whole batch are made.
    positions: Range<usize>,
}

impl Batches {
    /// The batches of a run.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the data set is not the one that the run is made for;
    /// [`TrainError::Diffusion`] if the schedule is out of range.
    pub fn new(config: &TrainConfig, dataset: Arc<Dataset>) -> Result<Self, TrainError> {
        config.check_data(dataset.kind(), dataset.class_names())?;
        config.data.check_items(dataset.len())?;
        let draws = Draws::new(config.seed);
        Ok(Self {
            order: Order::new(draws.order_seed(), dataset.len(), config.batch_size),
            draws,
            diffusion: config.diffusion,
            network: config.diffusion.network()?,
            num_classes: (!config.classes.is_empty()).then_some(config.classes.len()),
            label_dropout: config.label_dropout,
            positions: 0..config.batch_size,
            dataset,
        })
    }

    /// Those rows of every batch that are a trainer's: all of them, or its share if it trains with
    /// other processes.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the batch cannot be shared evenly.
    pub fn share_of(self, trainer: &Trainer) -> Result<Self, TrainError> {
        let positions = match trainer.team() {
            Some(team) => team.share(self.positions.len())?,
            None => self.positions,
        };
        Ok(Self { positions, ..self })
    }

    /// The batch of a step: a pure function of the run's settings, the data and `step`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the network predicts nothing at some timestep, which
    /// [`TrainConfig::validate`] finds.
    pub fn make(&self, step: u32) -> Result<Batch, TrainError> {
        let items = &self.order.batch(step)[self.positions.clone()];
        let len = self.dataset.kind().num_elements();
        let mut batch = Batch {
            step,
            shape: sample_shape(self.dataset.kind()),
            x_t: vec![0.0; items.len() * len],
            timestep: Vec::with_capacity(items.len()),
            class_labels: self.num_classes.map(|none| self.labels(step, items, none)),
            target: vec![0.0; items.len() * len],
            variational: None,
        };
        let bound = self.diffusion.loss() != Loss::Mse;
        let (mut x_0s, mut terms) = (Vec::new(), Vec::new());
        let (mut x_0, mut noise) = (vec![0.0; len], vec![0.0; len]);
        let rows = batch.x_t.chunks_exact_mut(len).zip(batch.target.chunks_exact_mut(len));
        for ((position, &item), (x_t, wanted)) in self.positions.clone().zip(items).zip(rows) {
            let flip = self.dataset.flips() && self.draws.flips(step, position);
            self.dataset.x_0(item, flip, &mut x_0);
            self.draws.noise(step, position, &mut noise);
            let point = self.diffusion.point(&self.network.process, &self.draws, step, position)?;
            let Evaluation { t, c_in, .. } = self.network.at(&point)?;
            q_sample(&point, &x_0, &noise, x_t);
            target(&self.network, &point, &x_0, &noise, wanted)?;
            if c_in != 1.0 {
                x_t.iter_mut().for_each(|x| *x *= c_in as f32);
            }
            batch.timestep.push(t as f32);
            if bound {
                x_0s.extend_from_slice(&x_0);
                terms.push(Term::at(&self.network, &point)?);
            }
        }
        let discretised = matches!(self.dataset.kind(), Kind::Images { .. });
        batch.variational = bound.then_some(Variational { x_0: x_0s, terms, discretised });
        Ok(batch)
    }

    /// The labels of a step, some of them dropped; `none` is the label of no label.
    fn labels(&self, step: u32, items: &[usize], none: usize) -> Vec<i64> {
        let label = |(position, &item): (usize, &usize)| {
            let drop = self.draws.drops_label(step, position, self.label_dropout);
            let label = self.dataset.label(item).filter(|_| !drop);
            label.unwrap_or(none) as i64
        };
        self.positions.clone().zip(items).map(label).collect()
    }
}
