//! Means over the steps since the last reading.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::step::StepReport;

/// Accumulates the numbers of steps.
#[derive(Debug)]
pub(crate) struct Meter {
    batch_size: usize,
    since: Instant,
    loss: f64,
    grad_norm: f64,
    count: u32,
}

/// Means over the steps since the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Reading {
    /// Steps taken in total.
    pub(crate) step: u32,
    /// Mean loss.
    pub(crate) loss: f64,
    /// Mean norm of the gradients, before the limit.
    pub(crate) grad_norm: f64,
    /// Learning rate of the last step.
    pub(crate) lr: f64,
    /// Items per second.
    pub(crate) items_per_s: f64,
}

impl Meter {
    /// Makes a meter for batches of this size.
    pub(crate) fn new(batch_size: usize) -> Self {
        Self { batch_size, since: Instant::now(), loss: 0.0, grad_norm: 0.0, count: 0 }
    }

    /// Adds a step.
    pub(crate) fn add(&mut self, report: &StepReport) {
        self.loss += report.loss;
        self.grad_norm += report.grad_norm;
        self.count += 1;
    }

    /// Returns the time since the last reading.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns the number of items per step.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Reads the means up to the step of `last`, and starts over.
    pub(crate) fn read(&mut self, last: &StepReport) -> Reading {
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

    /// Excludes time that was not spent on steps.
    pub(crate) fn pause(&mut self, pause: Duration) {
        self.since += pause;
    }
}
