//! What one step sees: x_t, t, labels and the target, from the data set and the draws.

use std::ops::Range;
use std::sync::Arc;

use ddpm_diffusion::{Evaluation, Network, Point, q_sample, target};
use tch::{Device, TchError, Tensor};

use super::held_out::HeldOut;
use super::validate::sample_shape;
use super::{
    DiffusionConfig, Draws, Loss, Order, Term, TrainConfig, TrainError, Trainer, Variational,
};
use crate::data::Dataset;
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
    /// How often the squared error of each row counts, `[B]`; absent: once.
    pub weights: Option<Vec<f32>>,
    /// For losses that need the variational bound.
    pub variational: Option<Variational>,
}

impl Batch {
    /// The batch of a step before its first row, without labels.
    ///
    /// * `shape`: of one sample.
    #[must_use]
    pub fn begin(step: u32, shape: Vec<i64>, diffusion: &DiffusionConfig) -> Self {
        let bound = diffusion.loss() != Loss::Mse;
        // Pictures have 256 levels, points none.
        let discretised = shape.len() == 3;
        Self {
            step,
            shape,
            x_t: Vec::new(),
            timestep: Vec::new(),
            class_labels: None,
            target: Vec::new(),
            weights: diffusion.min_snr.map(|_| Vec::new()),
            variational: bound.then(|| Variational {
                x_0: Vec::new(),
                terms: Vec::new(),
                discretised,
            }),
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
        let evaluation = network.at(point)?;
        let Evaluation { t, c_in, .. } = evaluation;
        let start = self.x_t.len();
        self.x_t.resize(start + x_0.len(), 0.0);
        self.target.resize(start + x_0.len(), 0.0);
        q_sample(point, x_0, noise, &mut self.x_t[start..]);
        target(network, point, x_0, noise, &mut self.target[start..])?;
        if c_in != 1.0 {
            self.x_t[start..].iter_mut().for_each(|x| *x *= c_in as f32);
        }
        self.timestep.push(t as f32);
        if let Some(weights) = &mut self.weights {
            weights.extend(diffusion.weight(point, &evaluation).map(|weight| weight as f32));
        }
        if let Some(variational) = &mut self.variational {
            variational.x_0.extend_from_slice(x_0);
            variational.terms.push(Term::at(network, point)?);
        }
        Ok(())
    }

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
    held_out: HeldOut,
    batch_size: usize,
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
        let held_out = config.check_held_out(dataset.len())?;
        let draws = Draws::new(config.seed);
        let trained = dataset.len() - held_out;
        Ok(Self {
            held_out: HeldOut::new(dataset.len(), held_out),
            batch_size: config.batch_size,
            order: Order::new(draws.order_seed(), trained, config.batch_size),
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
            Some(team) => team.share(self.batch_size)?,
            None => self.positions,
        };
        Ok(Self { positions, ..self })
    }

    /// How many items are trained on: all but those held out.
    #[must_use]
    pub fn trained(&self) -> usize {
        self.dataset.len() - self.held_out.items().len()
    }

    /// The batch of a step: a pure function of the run's settings, the data and `step`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the network predicts nothing at some timestep, which
    /// [`TrainConfig::validate`] finds.
    pub fn make(&self, step: u32) -> Result<Batch, TrainError> {
        let items = self.order.batch(step);
        let items: Vec<usize> =
            items.into_iter().map(|number| self.held_out.train_item(number)).collect();
        self.of(&items[self.positions.clone()], step, self.positions.start)
    }

    /// Batches of the items held out: each once, unflipped, with its own label, at a timestep and
    /// with a noise that stay the same.
    ///
    /// # Errors
    ///
    /// As [`Batches::make`].
    pub fn held_out(&self) -> impl Iterator<Item = Result<Batch, TrainError>> {
        let fixed = Self {
            dataset: Arc::clone(&self.dataset),
            draws: self.draws.held_out(),
            network: self.network.clone(),
            label_dropout: 0.0,
            held_out: self.held_out.clone(),
            order: self.order.clone(),
            positions: self.positions.clone(),
            ..*self
        };
        let count = self.held_out.items().len().div_ceil(self.batch_size);
        (0..count).map(move |chunk| {
            let items = fixed.held_out.items().chunks(fixed.batch_size).nth(chunk);
            fixed.of(items.unwrap_or_default(), 0, chunk * fixed.batch_size)
        })
    }

    /// The batch of these items, with the draws of a step from position `first` on.
    fn of(&self, items: &[usize], step: u32, first: usize) -> Result<Batch, TrainError> {
        let len = self.dataset.kind().num_elements();
        let mut batch = Batch::begin(step, sample_shape(self.dataset.kind()), &self.diffusion);
        batch.class_labels = self.num_classes.map(|none| self.labels(step, first, items, none));
        let (mut x_0, mut noise) = (vec![0.0; len], vec![0.0; len]);
        for (position, &item) in (first..).zip(items) {
            let flip = self.dataset.flips() && self.draws.flips(step, position);
            self.dataset.x_0(item, flip, &mut x_0);
            self.draws.noise(step, position, &mut noise);
            let point = self.diffusion.point(&self.network.process, &self.draws, step, position)?;
            batch.push(&self.diffusion, &self.network, &point, &x_0, &noise)?;
        }
        Ok(batch)
    }

    /// The labels of a step, some of them dropped; `none` is the label of no label.
    fn labels(&self, step: u32, first: usize, items: &[usize], none: usize) -> Vec<i64> {
        let label = |(position, &item): (usize, &usize)| {
            let drop = self.draws.drops_label(step, position, self.label_dropout);
            let label = self.dataset.label(item).filter(|_| !drop);
            label.unwrap_or(none) as i64
        };
        (first..).zip(items).map(label).collect()
    }
}
