//! The network of one model as a device calls it, on rows of any samples.

use ddpm_onnx::{Batch, Bound, Denoiser};

use super::RuntimeError;

/// The network of one model. A row's output does not depend on the other rows.
pub(crate) trait Evaluator: Send {
    /// Evaluates every row of a batch into `out`, `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// If the network could not be run.
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError>;

    /// Returns the model that keeps the state of samples, if it is one.
    fn into_bound(self: Box<Self>) -> Option<Bound> {
        None
    }
}

impl Evaluator for Bound {
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError> {
        Self::evaluate(self, batch, out).map_err(|error| RuntimeError(error.to_string()))
    }

    fn into_bound(self: Box<Self>) -> Option<Bound> {
        Some(*self)
    }
}

impl Evaluator for Denoiser {
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError> {
        Self::evaluate(self, batch, out).map_err(|error| RuntimeError(error.to_string()))
    }
}
