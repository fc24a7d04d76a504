//! Makes the batch of any step: x_t, t, labels and the target, from the data set and the draws.

use std::ops::Range;
use std::sync::Arc;

use ddpm_data::Dataset;
use ddpm_diffusion::Parameterisation;
use tch::Device;

use crate::batching::draws::StepDraws;
use crate::batching::held_out::HeldOut;
use crate::batching::order::Order;
use crate::batching::resident::{Picks, Resident};
use crate::batching::rows::{Batch, Rows};
use crate::config::{DataOn, DiffusionConfig, TrainConfig, sample_shape};
use crate::distributed::Team;
use crate::error::TrainError;

/// Makes the batch of any step.
#[derive(Debug, Clone)]
pub struct Batches {
    dataset: Arc<Dataset>,
    data_on: DataOn,
    /// Where batches go.
    device: Device,
    /// The data set on that device, if it is kept there.
    resident: Option<Resident>,
    held_out: HeldOut,
    batch_size: usize,
    order: Order,
    draws: StepDraws,
    diffusion: DiffusionConfig,
    network: Parameterisation,
    num_classes: Option<usize>,
    label_dropout: f64,
    /// The positions of the whole batch that this process makes.
    positions: Range<usize>,
}

impl Batches {
    /// Makes the batches of a run, on the CPU until [`Self::on_device`] names another device.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the data set is not the one that the run was made for;
    /// [`TrainError::Diffusion`] if the schedule is out of range.
    pub fn new(config: &TrainConfig, dataset: Arc<Dataset>) -> Result<Self, TrainError> {
        config.check_data(dataset.kind(), dataset.class_names())?;
        config.data.check_items(dataset.len())?;
        let held_out = config.check_held_out(dataset.len())?;
        let draws = StepDraws::new(config.seed);
        let trained = dataset.len() - held_out;
        Ok(Self {
            held_out: HeldOut::new(dataset.len(), held_out),
            batch_size: config.batch_size,
            order: Order::new(draws.order_seed(), trained, config.batch_size),
            draws,
            diffusion: config.diffusion,
            network: config.diffusion.parameterisation()?,
            num_classes: (!config.classes.is_empty()).then_some(config.classes.len()),
            label_dropout: config.label_dropout,
            positions: 0..config.batch_size,
            data_on: config.data_on,
            device: Device::Cpu,
            resident: None,
            dataset,
        })
    }

    /// Makes the same batches on `device`. Uploads the data set if the settings say so; clones
    /// share it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the device has too little memory.
    pub fn on_device(self, device: Device) -> Result<Self, TrainError> {
        let resident = Resident::load(&self.dataset, self.data_on, device)?;
        Ok(Self { device, resident, ..self })
    }

    /// Makes only this process's share of every batch, if it trains with a team.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the batch cannot be shared evenly.
    pub fn for_team(self, team: Option<&Team>) -> Result<Self, TrainError> {
        let positions = match team {
            Some(team) => team.share(self.batch_size)?,
            None => self.positions,
        };
        Ok(Self { positions, ..self })
    }

    /// Returns the data set.
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Returns the number of items that are trained on: all but those held out.
    #[must_use]
    pub fn num_trained(&self) -> usize {
        self.dataset.len() - self.held_out.items().len()
    }

    /// Makes the batch of a step: a pure function of the run's settings, the data and `step`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the prediction is undefined at some timestep, which
    /// [`TrainConfig::validate`] rules out.
    pub fn make(&self, step: u32) -> Result<Batch, TrainError> {
        let items = self.order.batch(step);
        let items: Vec<usize> =
            items.into_iter().map(|number| self.held_out.train_item(number)).collect();
        self.assemble(&items[self.positions.clone()], step, self.positions.start)
    }

    /// Makes the batches of the held-out items: each once, with its own label, and with the same
    /// timestep, noise and flip every time.
    ///
    /// # Errors
    ///
    /// As [`Batches::make`].
    pub fn held_out(&self) -> impl Iterator<Item = Result<Batch, TrainError>> {
        let fixed = Self { draws: self.draws.held_out(), label_dropout: 0.0, ..self.clone() };
        let count = self.held_out.items().len().div_ceil(self.batch_size);
        (0..count).map(move |chunk| {
            let items = fixed.held_out.items().chunks(fixed.batch_size).nth(chunk);
            fixed.assemble(items.unwrap_or_default(), 0, chunk * fixed.batch_size)
        })
    }

    /// Makes a batch of these items, with the draws of a step from position `first` on.
    fn assemble(&self, items: &[usize], step: u32, first: usize) -> Result<Batch, TrainError> {
        let mut rows = Rows::begin(step, first, sample_shape(self.dataset.kind()), &self.diffusion);
        rows.class_labels = self.num_classes.map(|none| self.labels(step, first, items, none));
        let len = self.dataset.kind().num_elements();
        let (mut x_0, mut noise) = (vec![0.0; len], vec![0.0; len]);
        let mut picks = Picks::default();
        for (position, &item) in (first..).zip(items) {
            let flip = self.dataset.flips() && self.draws.flips(step, position);
            self.draws.noise(step, position, &mut noise);
            let point =
                self.diffusion.draw_point(&self.network.process, &self.draws, step, position)?;
            if self.resident.is_some() {
                let evaluation = rows.push_point(&self.diffusion, &self.network, &point)?;
                picks.push((item, flip), &noise, &self.network, &point, &evaluation)?;
            } else {
                self.dataset.x_0(item, flip, &mut x_0);
                rows.push(&self.diffusion, &self.network, &point, &x_0, &noise)?;
            }
        }
        match &self.resident {
            Some(resident) => Ok(rows.with_samples(resident.samples(&picks)?)),
            None => rows.finish(self.device),
        }
    }

    /// Returns the labels of a step, some of them replaced by `none`, which means "no label".
    fn labels(&self, step: u32, first: usize, items: &[usize], none: usize) -> Vec<i64> {
        let label = |(position, &item): (usize, &usize)| {
            let drop = self.draws.drops_label(step, position, self.label_dropout);
            let label = self.dataset.label(item).filter(|_| !drop);
            label.unwrap_or(none) as i64
        };
        (first..).zip(items).map(label).collect()
    }
}
