//! The network of one model as a device calls it, on rows of any samples.

use ddpm_onnx::{Batch, Denoiser};

use super::RuntimeError;

/// The network of one model. A row's output does not depend on the other rows.
pub(crate) trait Evaluator: Send {
    /// Evaluates every row of a batch into `out`, `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// If the network could not be run.
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError>;
}

impl Evaluator for Denoiser {
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError> {
        Self::evaluate(self, batch, out).map_err(|error| RuntimeError(error.to_string()))
    }
}
