//! What a network is evaluated on.

use std::ops::Range;

/// Rows of inputs, laid out one after another.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[rows, …sample shape]`, at model scale.
    pub sample: &'a [f32],
    /// `[rows]`, real-valued timesteps.
    pub timestep: &'a [f32],
    /// `[rows]`, labels; a label equal to the number of classes means unconditional. Ignored by a
    /// model without classes.
    pub class_labels: &'a [i64],
}

impl<'a> Batch<'a> {
    /// Returns some of the rows.
    ///
    /// * `sample_len`: elements of a sample.
    ///
    /// # Panics
    ///
    /// If there are not so many samples or timesteps. Missing labels are left out: a model without
    /// classes needs none.
    pub(crate) fn rows(&self, rows: Range<usize>, sample_len: usize) -> Batch<'a> {
        Batch {
            sample: &self.sample[rows.start * sample_len..rows.end * sample_len],
            timestep: &self.timestep[rows.clone()],
            class_labels: self.class_labels.get(rows).unwrap_or_default(),
        }
    }
}
