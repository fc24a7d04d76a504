//! The forward pass of a batch through a network, and its loss.

use ddpm_network::{Eager, Network};
use ddpm_torch::{Autocast, set_channels_last};
use tch::{Device, Kind, Tensor};

use crate::batching::{Batch, StepDraws};
use crate::config::Precision;
use crate::error::TrainError;
use crate::step::loss::{Objective, loss};

/// Everything that a forward pass depends on besides network and batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) device: Device,
    pub(crate) channels_last: bool,
    pub(crate) precision: Precision,
    pub(crate) objective: Objective,
}

impl Pass {
    /// Computes the loss of a network on a batch, a scalar that can be differentiated.
    ///
    /// * `dropout`: makes the masks; absent: nothing is dropped. On a GPU, where masks would have
    ///   to be uploaded, libtorch's global generator is used instead.
    pub(crate) fn loss(
        &self,
        network: &Network,
        dropout: Option<&StepDraws>,
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
