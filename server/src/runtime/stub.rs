//! A network for tests: exact, computed row by row, with its calls counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ddpm_onnx::Batch;

use super::{Evaluator, HostDevice, HostModel, Inputs, Padding, RuntimeError};

/// Outputs half of each input plus small multiples of its timestep and label.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stub {
    /// Calls so far.
    pub(crate) calls: Arc<AtomicUsize>,
    /// Rows so far.
    pub(crate) rows: Arc<AtomicUsize>,
    /// Whether calls fail.
    pub(crate) broken: Arc<AtomicBool>,
    /// Whether calls panic.
    pub(crate) panics: Arc<AtomicBool>,
}

impl Evaluator for Stub {
    fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(RuntimeError("broken on purpose".into()));
        }
        assert!(!self.panics.load(Ordering::Relaxed), "a panic on purpose");
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(batch.timestep.len(), Ordering::Relaxed);
        let len = batch.sample.len() / batch.timestep.len();
        let rows = batch.sample.chunks(len).zip(batch.timestep).zip(batch.class_labels);
        out.clear();
        for ((row, t), label) in rows {
            out.extend(row.iter().map(|x| 0.5 * x + 1e-3 * t + 1e-2 * *label as f32));
        }
        Ok(())
    }
}

impl Stub {
    /// Creates a model of `len` elements and two classes.
    pub(crate) fn model(&self, len: usize) -> HostModel {
        HostModel {
            network: Box::new(self.clone()),
            sample_len: len,
            output_len: len,
            classes: 2,
            padding: Padding::None,
            examples: Inputs {
                sample: vec![0.5; len],
                timestep: vec![10.0],
                class_labels: vec![0],
            },
        }
    }

    /// Creates a device with one model.
    pub(crate) fn device(&self, len: usize) -> HostDevice {
        HostDevice::new(vec![self.model(len)])
    }
}
