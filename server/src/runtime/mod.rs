//! The device owns the state of samples and advances many of them with one call of the
//! network.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use ddpm_diffusion::{Noise, Program, Row};

use crate::request::KnownImage;
use crate::scheduler::ModelId;

mod host;
pub(crate) use host::{HostDevice, HostModel, Inputs, Padding};

mod bound;
pub(crate) use bound::{BoundDevice, BoundModel};

mod evaluator;
pub(crate) use evaluator::Evaluator;

#[cfg(test)]
pub(crate) mod stub;

/// Where the state of samples is between two calls of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SamplesOn {
    /// In this program's memory.
    #[default]
    Host,
    /// In the memory of ONNX Runtime's device.
    Device,
}

/// Place of a sample's state on its device.
pub(crate) type Slot = usize;

/// How a sample begins.
#[derive(Debug)]
pub(crate) struct SlotStart<'a> {
    pub(crate) program: &'a Program,
    pub(crate) noise: &'a Noise,
    pub(crate) index: u64,
    /// `None`: the label that means no class.
    pub(crate) class_label: Option<u32>,
    /// State to start from; absent: draw 0 of its noise.
    pub(crate) initial: Option<Vec<f32>>,
    /// The known image, for rows that read it.
    pub(crate) known: Option<Arc<KnownImage>>,
}

/// The work of a tick for one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) slot: Slot,
    pub(crate) row: &'a Row,
    /// Position of the row in its program.
    pub(crate) position: usize,
    /// Whether to return the prediction of x_0.
    pub(crate) show_x_0: bool,
    /// The scale at which to return x_t, if at all.
    pub(crate) show_x_t: Option<f64>,
    /// Whether this is the last row: the sample is returned and its slot freed.
    pub(crate) last: bool,
}

/// What a tick returns for one sample, as its work requested.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Outcome {
    pub(crate) x_0: Option<Vec<f32>>,
    pub(crate) x_t: Option<Vec<f32>>,
    pub(crate) sample: Option<Vec<f32>>,
}

/// The model could not be run. The text is for the log, not for the wire.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RuntimeError(pub(crate) String);

impl RuntimeError {
    /// Describes a caught panic, with its message if it has one.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let fixed = payload.downcast_ref::<&str>().copied();
        let message = fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self(format!("panicked: {}", message.unwrap_or("no message")))
    }
}

/// The duration of a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct TickTimes {
    /// Inside the call of the network.
    pub(crate) network: Duration,
    /// Everything else: gathering inputs, kernel and noise, copying results out.
    pub(crate) kernel: Duration,
}

/// Owns the state of samples and advances them. A device belongs to one thread.
pub(crate) trait Device: Send {
    /// Takes a slot for a sample and fills it with the sample's first state.
    fn start(&mut self, model: ModelId, start: SlotStart<'_>) -> Slot;

    /// Applies one row to each of several samples of one model, with one call of the
    /// network for all of them.
    ///
    /// * `outcomes`: overwritten, in the order of the work. An error concerns one sample,
    ///   which can then only be released; the others have advanced.
    ///
    /// # Errors
    ///
    /// If the call could not be made; then the samples of the call can only be released.
    fn tick(
        &mut self,
        model: ModelId,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<TickTimes, RuntimeError>;

    /// Calls the network of a model on `evals` rows of its own, at least one, only to measure the
    /// call. Returns the time inside it.
    ///
    /// # Errors
    ///
    /// If the network could not be run.
    fn probe(&mut self, model: ModelId, evals: u32) -> Result<Duration, RuntimeError>;

    /// Frees the slot of a sample that nobody wants any more; does nothing if the slot is
    /// free already.
    fn release(&mut self, slot: Slot);

    /// Slots in use.
    fn slots(&self) -> usize;
}
