//! Mean and covariance of all that a sample carries, row by row.
//!
//! With a Gaussian's network every row is an affine map of (u, y, H1, H2, H3, z), so
//! both follow exactly: mean' = A mean + b, covariance' = A covariance Aᵀ + Z Zᵀ.

use ddpm_diffusion::Row;

use super::Sample;

const DIM: usize = 2;
const ALL: usize = 5 * DIM;

/// Of (u, y, H1, H2, H3), two coordinates each.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    mean: [f64; ALL],
    covariance: [[f64; ALL]; ALL],
}

impl Moments {
    /// Before the first row: u and y are the same draw.
    pub(crate) fn start(mean: [f64; 2], variance: [f64; 2], covariance: f64) -> Self {
        let of = [[variance[0], covariance], [covariance, variance[1]]];
        let mut start = Self { mean: [0.0; ALL], covariance: [[0.0; ALL]; ALL] };
        for i in 0..2 * DIM {
            start.mean[i] = mean[i % DIM];
            for j in 0..2 * DIM {
                start.covariance[i][j] = of[i % DIM][j % DIM];
            }
        }
        start
    }

    /// After all rows.
    ///
    /// * `outputs`: the network's, for a row and u.
    /// * `spread`: what multiplies the noise of a row, element by element.
    pub(crate) fn run(
        mut self,
        rows: &[Row],
        outputs: impl Fn(&Row, &[f64]) -> Vec<Vec<f64>>,
        spread: impl Fn(usize) -> [f64; 2],
    ) -> Self {
        for (position, row) in rows.iter().enumerate() {
            assert!(row.noise.draw.is_none(), "noise that is drawn twice is not independent");
            self.advance(row, &outputs, spread(position));
        }
        self
    }

    fn advance(
        &mut self,
        row: &Row,
        outputs: &impl Fn(&Row, &[f64]) -> Vec<Vec<f64>>,
        spread: [f64; 2],
    ) {
        let apply = |state: [f64; ALL], z: [f64; 2]| {
            let part = |k: usize| state[k * DIM..][..DIM].to_vec();
            let mut sample =
                Sample { u: part(0), y: part(1), history: [part(2), part(3), part(4)] };
            let outputs = outputs(row, &sample.u);
            sample.apply(row, &outputs, &z);
            let [h1, h2, h3] = sample.history;
            let all = [sample.u, sample.y, h1, h2, h3].concat();
            <[f64; ALL]>::try_from(all).expect("five pairs")
        };
        let offset = apply([0.0; ALL], [0.0; 2]);
        let column = |moved: [f64; ALL]| std::array::from_fn(|i| moved[i] - offset[i]);
        let unit = |j: usize| std::array::from_fn(|i| f64::from(i == j));
        let of_state: [[f64; ALL]; ALL] = std::array::from_fn(|j| column(apply(unit(j), [0.0; 2])));
        let of_noise: [[f64; ALL]; 2] = std::array::from_fn(|j| {
            column(apply([0.0; ALL], std::array::from_fn(|i| f64::from(i == j) * spread[j])))
        });
        let mean = self.mean;
        self.mean = std::array::from_fn(|i| {
            offset[i] + (0..ALL).map(|j| of_state[j][i] * mean[j]).sum::<f64>()
        });
        // half = covariance Aᵀ.
        let half: [[f64; ALL]; ALL] = std::array::from_fn(|k| {
            std::array::from_fn(|i| (0..ALL).map(|j| self.covariance[k][j] * of_state[j][i]).sum())
        });
        self.covariance = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let from_state: f64 = (0..ALL).map(|k| of_state[k][i] * half[k][j]).sum();
                from_state + of_noise.iter().map(|noise| noise[i] * noise[j]).sum::<f64>()
            })
        });
    }

    /// Of u.
    pub(crate) fn mean(&self) -> [f64; 2] {
        [self.mean[0], self.mean[1]]
    }

    /// Of u: both variances and the covariance.
    pub(crate) fn covariance(&self) -> [f64; 3] {
        [self.covariance[0][0], self.covariance[1][1], self.covariance[0][1]]
    }
}
