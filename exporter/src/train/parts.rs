//! A batch in parts, which go through the network one after the other.
//!
//! Their gradients add up to those of the whole: a part counts as much as its share of the rows.

use std::borrow::Cow;
use std::ops::Range;

use super::{Batch, Variational};

impl Batch {
    /// How many rows there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch has at least one row")]
    pub fn len(&self) -> usize {
        self.timestep.len()
    }

    /// Some of the rows, as a batch of their own.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Batch {
        let len = self.x_t.len() / self.len();
        let elements = |values: &[f32]| values[rows.start * len..rows.end * len].to_vec();
        let of_variational = |variational: &Variational| Variational {
            x_0: elements(&variational.x_0),
            terms: variational.terms[rows.clone()].to_vec(),
            discretised: variational.discretised,
        };
        Batch {
            step: self.step,
            shape: self.shape.clone(),
            x_t: elements(&self.x_t),
            timestep: self.timestep[rows.clone()].to_vec(),
            class_labels: self.class_labels.as_ref().map(|labels| labels[rows.clone()].to_vec()),
            target: elements(&self.target),
            weights: self.weights.as_ref().map(|weights| weights[rows.clone()].to_vec()),
            variational: self.variational.as_ref().map(of_variational),
        }
    }

    /// At most `count` parts of nearly equal size, in order, each with its share of the rows.
    pub(super) fn parts(&self, count: usize) -> impl Iterator<Item = (f64, Cow<'_, Batch>)> {
        let (len, count) = (self.len(), count.min(self.len()));
        (0..count).map(move |part| {
            let rows = part * len / count..(part + 1) * len / count;
            let share = rows.len() as f64 / len as f64;
            let part = match count {
                1 => Cow::Borrowed(self),
                _ => Cow::Owned(self.rows(rows)),
            };
            (share, part)
        })
    }
}
