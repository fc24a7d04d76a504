//! Inputs on which forms of a graph are compared: the golden ones of its package.

use std::time::Instant;

use ddpm_package::{Golden, Manifest};

use crate::timing::MOST_ROWS;
use crate::{Batch, Error};

/// The golden inputs of a package, repeated to the most rows that are timed.
pub(crate) struct Examples {
    sample: Vec<f32>,
    timestep: Vec<f32>,
    class_labels: Vec<i64>,
    sample_len: usize,
    output_len: usize,
}

impl Examples {
    /// Takes the inputs of golden vectors that fit the manifest.
    pub(crate) fn new(golden: &Golden, manifest: &Manifest) -> Self {
        let sample_len = manifest.sample_len();
        let rows = || (0..golden.count).cycle().take(MOST_ROWS);
        let labels = golden.class_labels.as_deref().unwrap_or_default();
        Self {
            sample: rows()
                .flat_map(|row| &golden.sample[row * sample_len..][..sample_len])
                .copied()
                .collect(),
            timestep: rows().map(|row| golden.timestep[row]).collect(),
            class_labels: rows().filter_map(|row| labels.get(row)).copied().collect(),
            sample_len,
            output_len: manifest.output_len(),
        }
    }

    fn batch(&self, rows: usize) -> Batch<'_> {
        let all = Batch {
            sample: &self.sample,
            timestep: &self.timestep,
            class_labels: &self.class_labels,
        };
        all.rows(0..rows, self.sample_len)
    }

    /// Returns the outputs of a number of rows.
    pub(crate) fn outputs(
        &self,
        rows: usize,
        evaluate: impl FnOnce(Batch<'_>, &mut [f32]) -> Result<(), Error>,
    ) -> Result<Vec<f32>, Error> {
        let mut out = vec![0.0; rows * self.output_len];
        evaluate(self.batch(rows), &mut out)?;
        Ok(out)
    }

    /// Returns the seconds of a call on a number of rows.
    pub(crate) fn time(
        &self,
        rows: usize,
        evaluate: impl FnOnce(Batch<'_>, &mut [f32]) -> Result<(), Error>,
    ) -> Result<f64, Error> {
        let mut out = vec![0.0; rows * self.output_len];
        let start = Instant::now();
        evaluate(self.batch(rows), &mut out)?;
        Ok(start.elapsed().as_secs_f64())
    }
}
