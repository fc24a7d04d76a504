//! The device: it owns the state of samples, and advances many of them with one
//! call of the network.

use std::{any::Any, sync::Arc, time::Duration};

use ddpm_diffusion::{Noise, Program, Row};

use crate::{request::KnownImage, scheduler::ModelId};

mod host;
pub(crate) use host::{HostDevice, HostModel, Padding};

mod network;
pub(crate) use network::Network;

#[cfg(test)]
pub(crate) mod stub;

/// Place of a sample's state on its device.
pub(crate) type Slot = usize;

/// How a sample begins.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Program,
    pub(crate) noise: &'a Noise,
    pub(crate) index: u64,
    /// Label, or `None` for none.
    pub(crate) class_label: Option<u32>,
    /// Where it starts; absent: draw 0 of its noise.
    pub(crate) initial: Option<Vec<f32>>,
    /// What is known of it, for rows that read that.
    pub(crate) known: Option<Arc<KnownImage>>,
}

/// One sample of a tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) slot: Slot,
    pub(crate) row: &'a Row,
    /// Position of the row in its program.
    pub(crate) position: usize,
    /// Whether the prediction of x_0 is wanted.
    pub(crate) show_x_0: bool,
    /// The scale at which x_t is wanted, if it is.
    pub(crate) show_x_t: Option<f64>,
    /// Whether this is the last row: the sample is wanted, and its slot is freed.
    pub(crate) last: bool,
}

/// What was asked for of one sample of a tick.
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
    /// A panic that was caught, with its words if it has some.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let fixed = payload.downcast_ref::<&str>().copied();
        let words = fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self(format!("it panicked: {}", words.unwrap_or("without words")))
    }
}

/// What a tick took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Took {
    /// Inside the call of the network.
    pub(crate) network: Duration,
    /// Everything else: gathering inputs, kernel and noise, copying out.
    pub(crate) kernel: Duration,
}

/// Owns the state of samples and advances them. One thread owns it.
pub(crate) trait Device: Send {
    /// Makes a slot for a sample and fills it with what it starts from.
    fn start(&mut self, model: ModelId, start: Start<'_>) -> Slot;

    /// Applies one row to each of some samples of one model, with one call of the
    /// network for all of them.
    ///
    /// * `outcomes`: what was there is replaced; in the order of the work. An error
    ///   is that of one sample, which is fit for nothing but to be released; the
    ///   others have advanced.
    ///
    /// # Errors
    ///
    /// If the network could not be run; then no sample has advanced.
    fn tick(
        &mut self,
        model: ModelId,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<Took, RuntimeError>;

    /// Frees the slot of a sample that nobody wants any more; nothing happens if it
    /// was freed, and not started again, since.
    fn release(&mut self, slot: Slot);

    /// Slots in use.
    fn slots(&self) -> usize;
}
