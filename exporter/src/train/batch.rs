//! What steps see: x_t, t, labels and the target, from the data set and the draws.

use std::ops::Range;
use std::sync::Arc;

use ddpm_diffusion::Network;
use tch::Device;

use super::held_out::HeldOut;
use super::resident::{Picks, Resident};
use super::validate::sample_shape;
use super::{Batch, DataOn, DiffusionConfig, Draws, Order, Rows, TrainConfig, TrainError, Trainer};
use crate::data::Dataset;

/// Makes the batch of any step.
#[derive(Debug, Clone)]
pub struct Batches {
    dataset: Arc<Dataset>,
    data_on: DataOn,
    /// Where batches are wanted.
    device: Device,
    /// If the data set lies there.
    resident: Option<Resident>,
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
    /// The batches of a run, on the CPU unless another device is [named](Self::on).
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
            data_on: config.data_on,
            device: Device::Cpu,
            resident: None,
            dataset,
        })
    }

    /// The same batches on `device`. The data set is uploaded if it is to lie there; clones share it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the device has not enough memory.
    pub fn on(self, device: Device) -> Result<Self, TrainError> {
        let resident = Resident::of(&self.dataset, self.data_on, device)?;
        Ok(Self { device, resident, ..self })
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
        let fixed = Self { draws: self.draws.held_out(), label_dropout: 0.0, ..self.clone() };
        let count = self.held_out.items().len().div_ceil(self.batch_size);
        (0..count).map(move |chunk| {
            let items = fixed.held_out.items().chunks(fixed.batch_size).nth(chunk);
            fixed.of(items.unwrap_or_default(), 0, chunk * fixed.batch_size)
        })
    }

    /// The batch of these items, with the draws of a step from position `first` on.
    fn of(&self, items: &[usize], step: u32, first: usize) -> Result<Batch, TrainError> {
        let mut rows = Rows::begin(step, first, sample_shape(self.dataset.kind()), &self.diffusion);
        rows.class_labels = self.num_classes.map(|none| self.labels(step, first, items, none));
        let len = self.dataset.kind().num_elements();
        let (mut x_0, mut noise) = (vec![0.0; len], vec![0.0; len]);
        let mut picks = Picks::default();
        for (position, &item) in (first..).zip(items) {
            let flip = self.dataset.flips() && self.draws.flips(step, position);
            self.draws.noise(step, position, &mut noise);
            let point = self.diffusion.point(&self.network.process, &self.draws, step, position)?;
            if self.resident.is_some() {
                let evaluation = rows.place(&self.diffusion, &self.network, &point)?;
                picks.push((item, flip), &noise, &self.network, &point, &evaluation)?;
            } else {
                self.dataset.x_0(item, flip, &mut x_0);
                rows.push(&self.diffusion, &self.network, &point, &x_0, &noise)?;
            }
        }
        match &self.resident {
            Some(resident) => Ok(rows.with(resident.samples(&picks)?)),
            None => rows.finish(self.device),
        }
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
