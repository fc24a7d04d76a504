//! Means over the steps since somebody last looked.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::StepReport;

/// Sums up steps.
#[derive(Debug)]
pub struct Meter {
    batch_size: usize,
    since: Instant,
    loss: f64,
    grad_norm: f64,
    count: u32,
}

/// What the steps since the last reading were like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reading {
    /// Steps taken in all.
    pub step: u32,
    /// Mean loss.
    pub loss: f64,
    /// Mean norm of the gradients, before the limit.
    pub grad_norm: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Items a second.
    pub items_per_s: f64,
}

impl Meter {
    /// A meter for batches of this size.
    #[must_use]
    pub fn new(batch_size: usize) -> Self {
        Self { batch_size, since: Instant::now(), loss: 0.0, grad_norm: 0.0, count: 0 }
    }

    /// Counts a step.
    pub fn add(&mut self, report: &StepReport) {
        self.loss += report.loss;
        self.grad_norm += report.grad_norm;
        self.count += 1;
    }

    /// Time since the last reading.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Items a step.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Steps since the last reading.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Reads the means after the step of `last`, and starts over.
    pub fn take(&mut self, last: &StepReport) -> Reading {
        let count = f64::from(self.count.max(1));
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let reading = Reading {
            step: last.step + 1,
            loss: self.loss / count,
            grad_norm: self.grad_norm / count,
            lr: last.lr,
            items_per_s: f64::from(self.count) * self.batch_size as f64 / seconds,
        };
        *self = Self::new(self.batch_size);
        reading
    }

    /// Time that went to something else does not count.
    pub fn pause(&mut self, pause: Duration) {
        self.since += pause;
    }
}
