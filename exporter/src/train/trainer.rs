//! The state of a run, and one step of it.

use std::sync::Arc;

use ddpm_torch::set_channels_last;
use tch::{Device, Tensor, nn};

use super::distributed::{Replica, Team};
use super::pass::Pass;
use super::workers::{Workers, threads};
use super::{Batch, Draws, Ema, Optimizer, Precision, Stop, TrainConfig, TrainError};
use crate::model::{ModelConfig, Network};

/// Everything that a step changes.
#[derive(Debug)]
pub struct Trainer {
    network: Network,
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    ema: Ema,
    draws: Draws,
    pass: Pass,
    accumulation: usize,
    steps_done: u32,
    /// Threads that share the work, on the CPU.
    workers: Option<Workers>,
    /// If other processes train with this one.
    replica: Option<Replica>,
}

/// What a step has to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Its number, from 0.
    pub step: u32,
    /// Of the batch, before the update.
    pub loss: f64,
    /// Joint L2 norm of the gradients before it was limited.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
}

impl Trainer {
    /// The state before the first step, with random weights by the run's seed.
    ///
    /// # Errors
    ///
    /// [`TrainError::Model`] for a network that cannot be made.
    pub fn new(config: &TrainConfig, device: Device) -> Result<Self, TrainError> {
        let draws = Draws::new(config.seed);
        // The same weights on every device: libtorch's generators differ.
        tch::manual_seed(draws.weights_seed());
        let network = network(&config.model, Device::Cpu, false)?;
        Self::with_weights(config, &network.parameters(), device)
    }

    /// The state before the first step, from given weights.
    fn with_weights(
        config: &TrainConfig,
        weights: &[(String, Tensor)],
        device: Device,
    ) -> Result<Self, TrainError> {
        let channels_last = prefers_channels_last(device, config.precision);
        let network = network(&config.model, device, channels_last)?;
        let averaged = self::network(&config.model, device, channels_last)?;
        network.load_state(weights)?;
        averaged.load_state(weights)?;
        let draws = Draws::new(config.seed);
        let optimizer = Optimizer::new(config.optimizer, network.parameters())?;
        let (precision, objective) = (config.precision, config.diffusion.objective());
        let pass = Pass { device, channels_last, precision, objective };
        let rows = config.batch_size / config.accumulation.max(1);
        Ok(Self {
            workers: Workers::start(&network, pass, &draws, rows, threads())?,
            parameters: network.parameters().into_iter().map(|(_, tensor)| tensor).collect(),
            network,
            optimizer,
            ema: Ema::new(averaged, config.ema_decay),
            draws,
            pass,
            accumulation: config.accumulation,
            steps_done: 0,
            replica: None,
        })
    }

    /// Takes one step: loss, backward, clip, Adam, EMA.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotFinite`] if the loss or a gradient is not finite; then weights, optimiser
    /// and averages are as before.
    ///
    /// # Panics
    ///
    /// If `batch` is not the next step's.
    pub fn step(&mut self, batch: &Batch) -> Result<StepReport, TrainError> {
        let step = self.steps_done;
        assert_eq!(batch.step, step, "steps are taken in order");
        let replica = self.replica.as_ref();
        replica.map_or(Ok(()), Replica::begin_step)?;
        let _narrow = self.workers.as_ref().and_then(Workers::narrow);
        let rank = replica.map_or(0, |replica| replica.team().rank());
        self.optimizer.zero_grad()?;
        let loss = match &mut self.workers {
            Some(workers) => workers.gradients(batch, self.accumulation, &self.parameters)?,
            None => self.gradients(batch, rank)?,
        };
        let grad_norm = self.optimizer.clip()?;
        let loss = replica.map_or(Ok(loss), |replica| replica.end_step(loss))?;
        let loss = finite(step, "loss", loss)?;
        let grad_norm = finite(step, "norm of the gradients", grad_norm)?;
        let lr = self.optimizer.lr(step);
        self.optimizer.step(step)?;
        if rank == 0 {
            self.ema.update(&self.parameters, step)?;
        }
        self.steps_done += 1;
        Ok(StepReport { step, loss, grad_norm, lr })
    }

    /// Leaves the gradients of a batch and returns its loss.
    fn gradients(&self, batch: &Batch, rank: usize) -> Result<f64, TrainError> {
        if self.pass.device != Device::Cpu {
            tch::manual_seed(self.draws.dropout_seed(batch.step, rank));
        }
        let mut loss = 0.0;
        let mut parts = batch.parts(self.accumulation).peekable();
        while let Some((share, part)) = parts.next() {
            let part = self.pass.loss(&self.network, Some(&self.draws), &part)? * share;
            match &self.replica {
                // With the last part's gradients, those of all parts are there.
                Some(replica) if parts.peek().is_none() => replica.backward(&part)?,
                _ => part.f_backward()?,
            }
            loss += part.f_double_value(&[])?;
        }
        Ok(loss)
    }

    /// Proves that the present weights are worth keeping: an update that ruins them shows only in
    /// what they compute next.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotFinite`] if their loss on `batch` is not finite.
    pub fn prove(&self, batch: &Batch) -> Result<(), TrainError> {
        let loss = self.mean_loss(&self.network, Some(&self.draws), batch)?;
        finite(self.steps_done, "loss after the last update", loss).map(|_| ())
    }

    /// The loss of the averaged weights on a batch, without dropout: what is exported, judged.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    pub fn judge(&self, batch: &Batch) -> Result<f64, TrainError> {
        self.mean_loss(self.ema.network(), None, batch)
    }

    /// As [`Trainer::judge`], on all rows of several batches.
    ///
    /// # Errors
    ///
    /// As [`Trainer::judge`]; what the batches fail with.
    pub fn judge_all(
        &self,
        batches: impl Iterator<Item = Result<Batch, TrainError>>,
    ) -> Result<f64, TrainError> {
        let (mut sum, mut rows) = (0.0, 0.0);
        for batch in batches {
            let batch = batch?;
            sum += self.judge(&batch)? * batch.len() as f64;
            rows += batch.len() as f64;
        }
        Ok(sum / rows)
    }

    /// The loss on a batch, as a number.
    fn mean_loss(
        &self,
        network: &Network,
        dropout: Option<&Draws>,
        batch: &Batch,
    ) -> Result<f64, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let mut loss = 0.0;
        for (share, part) in batch.parts(self.accumulation) {
            let part = self.pass.loss(network, dropout, &part)?;
            loss += share * part.f_double_value(&[])?;
        }
        Ok(loss)
    }

    /// Trains with other processes from here on. Whatever the state of this one was, it becomes that
    /// of rank 0.
    ///
    /// * `stop`: is asked, on every rank at the same step, as soon as that of any rank is.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if a rank is lost.
    pub fn join(&mut self, team: Arc<Team>, stop: Stop) -> Result<(), TrainError> {
        self.steps_done = team.tell(team.leads().then_some(&self.steps_done))?;
        for part in [self.weights(), self.averaged().parameters(), self.optimizer_state()] {
            team.spread(part)?;
        }
        // Each rank is one worker.
        self.workers = None;
        self.replica = Some(Replica::new(team, &self.parameters, stop)?);
        Ok(())
    }

    /// The processes that it trains with, if it does not train alone.
    #[must_use]
    pub fn team(&self) -> Option<&Team> {
        self.replica.as_ref().map(Replica::team)
    }

    /// Tells the other processes, who give up a rank that is silent for long, that this one is busy. It
    /// does nothing if there are none.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if a rank is lost.
    pub fn hold(&self) -> Result<(), TrainError> {
        self.replica.as_ref().map_or(Ok(()), Replica::hold)
    }

    /// Tells the other processes that there are no more steps, and waits until all have heard. It
    /// does nothing if there are none.
    ///
    /// * `signal`: what the run was stopped by, if it was.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if a rank is lost.
    pub fn end(&self, signal: Option<i32>) -> Result<(), TrainError> {
        self.replica.as_ref().map_or(Ok(()), |replica| replica.end(signal))
    }

    /// Steps taken so far; the number of the next one.
    #[must_use]
    pub fn steps_done(&self) -> u32 {
        self.steps_done
    }

    /// How many threads share the rows of a batch; 1 where libtorch shares out every operation.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.as_ref().map_or(1, Workers::count)
    }

    /// Where the network is.
    #[must_use]
    pub fn device(&self) -> Device {
        self.pass.device
    }

    /// The network with the averaged weights: what is sampled and exported.
    #[must_use]
    pub fn averaged(&self) -> &Network {
        self.ema.network()
    }

    /// The weights, by name.
    #[must_use]
    pub fn weights(&self) -> Vec<(String, Tensor)> {
        self.network.parameters()
    }

    /// The state of the optimiser, by name.
    #[must_use]
    pub fn optimizer_state(&self) -> Vec<(String, Tensor)> {
        self.optimizer.state()
    }

    /// Goes on from a state that was saved after `steps_done` steps.
    ///
    /// # Errors
    ///
    /// [`TrainError::State`] if a part belongs to another network.
    pub fn restore(
        &mut self,
        steps_done: u32,
        weights: &[(String, Tensor)],
        averaged: &[(String, Tensor)],
        optimizer: &[(String, Tensor)],
    ) -> Result<(), TrainError> {
        self.network.load_state(weights)?;
        self.ema.network().load_state(averaged)?;
        self.optimizer.load_state(optimizer)?;
        self.steps_done = steps_done;
        Ok(())
    }
}

/// Tensor cores want NHWC. On the CPU, NCHW took less time: about 12 % in fp32 and 27 % in bf16, on
/// one thread, for a network of 0.7 M parameters and 16×16 pictures.
fn prefers_channels_last(device: Device, precision: Precision) -> bool {
    device.is_cuda() && precision == Precision::Bf16
}

fn network(
    config: &ModelConfig,
    device: Device,
    channels_last: bool,
) -> Result<Network, TrainError> {
    let network = Network::new(&nn::VarStore::new(device).root(), config)?;
    if channels_last {
        for (_, parameter) in network.parameters() {
            set_channels_last(&parameter)?;
        }
    }
    Ok(network)
}

fn finite(step: u32, quantity: &'static str, value: f64) -> Result<f64, TrainError> {
    if value.is_finite() { Ok(value) } else { Err(TrainError::NotFinite { step, quantity, value }) }
}
