//! One way of a batch through a network: forward, and the loss.

use ddpm_torch::{Autocast, set_channels_last};
use tch::{Device, Kind, Tensor};

use super::loss::{Objective, loss};
use super::{Batch, Draws, Precision, TrainError};
use crate::model::{Eager, Network};

/// What there is to know about it beside network and batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub(super) device: Device,
    pub(super) channels_last: bool,
    pub(super) precision: Precision,
    pub(super) objective: Objective,
}

impl Pass {
    /// The loss of a network on a batch, a scalar that knows its gradient.
    ///
    /// * `dropout`: who decides what it drops; absent: nothing is dropped. On a GPU, where masks would
    ///   have to be uploaded, libtorch's global generator decides instead.
    pub(super) fn loss(
        &self,
        network: &Network,
        dropout: Option<&Draws>,
        batch: &Batch,
    ) -> Result<Tensor, TrainError> {
        let (inputs, target) = batch.tensors(self.device)?;
        if self.channels_last {
            set_channels_last(&inputs.sample)?;
        }
        let _autocast = match self.precision {
            Precision::Fp32 => None,
            Precision::Bf16 => Some(Autocast::bf16(self.device)?),
        };
        let host = dropout.filter(|_| self.device == Device::Cpu);
        let masks = host.map(|draws| draws.masks(batch.step, batch.first));
        let eager = Eager { train: dropout.is_some(), masks: masks.as_ref() };
        let predicted = network.forward(&eager, &inputs);
        Ok(loss(
            self.objective,
            &predicted.f_to_kind(Kind::Float)?,
            &inputs.sample,
            &target,
            batch.weights.as_deref(),
            batch.variational.as_ref(),
        )?)
    }
}
