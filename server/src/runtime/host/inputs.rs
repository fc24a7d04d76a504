//! The rows of one call of the network.

use ddpm_onnx::Batch;
use ddpm_package::Golden;

/// The rows of one call of the network, laid out as it reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// `[rows, …sample shape]`, at model scale.
    pub(crate) sample: Vec<f32>,
    /// `[rows]`.
    pub(crate) timestep: Vec<f32>,
    /// `[rows]`.
    pub(crate) class_labels: Vec<i64>,
}

impl Inputs {
    /// Copies the rows of golden vectors: x_t of real data over the whole range of t.
    pub(crate) fn from_golden(golden: &Golden) -> Self {
        Self {
            sample: golden.sample.clone(),
            timestep: golden.timestep.clone(),
            class_labels: golden.class_labels.clone().unwrap_or_else(|| vec![0; golden.count]),
        }
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.timestep.len()
    }

    pub(crate) fn clear(&mut self) {
        self.sample.clear();
        self.timestep.clear();
        self.class_labels.clear();
    }

    /// Adds a row: the point u of a sample, scaled by `c_in`.
    pub(crate) fn push(&mut self, u: &[f32], c_in: f64, t: f64, label: i64) {
        let scale = c_in as f32;
        self.sample.extend(u.iter().map(|u| scale * u));
        self.timestep.push(t as f32);
        self.class_labels.push(label);
    }

    /// Adds a row of other inputs.
    pub(crate) fn push_row(&mut self, of: &Self, row: usize) {
        let len = of.sample.len() / of.rows();
        self.sample.extend_from_slice(&of.sample[row * len..][..len]);
        self.timestep.push(of.timestep[row]);
        self.class_labels.push(of.class_labels[row]);
    }

    /// Repeats the first row until there are `rows`.
    pub(crate) fn pad(&mut self, rows: usize) {
        let len = self.sample.len() / self.timestep.len();
        while self.timestep.len() < rows {
            self.sample.extend_from_within(..len);
            self.timestep.push(self.timestep[0]);
            self.class_labels.push(self.class_labels[0]);
        }
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { sample: &self.sample, timestep: &self.timestep, class_labels: &self.class_labels }
    }
}
