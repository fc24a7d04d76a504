//! Splits a batch into parts, which go through the network one after the other.
//!
//! Weighted with its share of the rows, each part contributes to the gradients of the whole batch.

use std::ops::Range;

use tch::Tensor;

use crate::batching::rows::{Batch, Variational};

impl Batch {
    /// Returns the number of rows.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch has at least one row")]
    pub fn len(&self) -> usize {
        self.timestep.len()
    }

    /// Returns some of the rows as a batch that shares the samples' memory.
    ///
    /// # Panics
    ///
    /// If the range exceeds the rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Batch {
        let (start, len) = (rows.start as i64, rows.len() as i64);
        let samples = |all: &Tensor| all.narrow(0, start, len);
        let variational = |variational: &Variational| Variational {
            x_0: samples(&variational.x_0),
            terms: variational.terms[rows.clone()].to_vec(),
            discretised: variational.discretised,
        };
        Batch {
            step: self.step,
            first: self.first + rows.start,
            x_t: samples(&self.x_t),
            timestep: self.timestep[rows.clone()].to_vec(),
            class_labels: self.class_labels.as_ref().map(|labels| labels[rows.clone()].to_vec()),
            target: samples(&self.target),
            weights: self.weights.as_ref().map(|weights| weights[rows.clone()].to_vec()),
            variational: self.variational.as_ref().map(variational),
        }
    }

    /// Splits the rows into at most `count` parts of nearly equal size, in order. Each comes with
    /// its share of the rows, a fraction.
    pub(crate) fn parts(&self, count: usize) -> impl Iterator<Item = (f64, Batch)> {
        let (len, count) = (self.len(), count.min(self.len()));
        (0..count).map(move |part| {
            let rows = part * len / count..(part + 1) * len / count;
            (rows.len() as f64 / len as f64, self.rows(rows))
        })
    }
}
