//! A checked request, in our own types.

use std::sync::Arc;

use ddpm_diffusion::Program;

use crate::{outbox::Delivery, scheduler::ModelId};

/// What to sample; everything is checked and every default filled in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) model: ModelId,
    pub(crate) program: Arc<Program>,
    pub(crate) seed: u64,
    pub(crate) indices: Indices,
    /// The sample of index i gets label i mod length; empty: none.
    pub(crate) class_labels: Vec<u32>,
    pub(crate) watch: Option<Watch>,
}

impl Request {
    /// The label of a sample.
    pub(crate) fn class_label(&self, index: u64) -> Option<u32> {
        let count = self.class_labels.len() as u64;
        (count > 0).then(|| self.class_labels[(index % count) as usize])
    }

    /// Network evaluations of all samples.
    pub(crate) fn evals(&self) -> u64 {
        self.program.evals().saturating_mul(self.indices.len())
    }
}

/// Which samples are shown while they form, and how.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// Sorted.
    pub(crate) indices: Vec<u64>,
    pub(crate) x_0: bool,
    pub(crate) x_t: bool,
    /// From 1.
    pub(crate) every_steps: u32,
    pub(crate) delivery: Delivery,
}

impl Watch {
    /// Whether a sample is shown after a step.
    pub(crate) fn shows(&self, index: u64, step: u32, num_steps: u32) -> bool {
        let due = step.is_multiple_of(self.every_steps) || step == num_steps;
        due && self.indices.binary_search(&index).is_ok()
    }
}

/// A set of sample indices, as disjoint ranges in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indices {
    /// (first, count), counts from 1.
    ranges: Vec<(u64, u64)>,
    len: u64,
}

impl Indices {
    /// The indices of these ranges.
    ///
    /// # Errors
    ///
    /// A sentence, if there is none, a range is empty or leaves u64, or two
    /// overlap.
    pub(crate) fn new(ranges: Vec<(u64, u64)>) -> Result<Self, String> {
        if ranges.is_empty() {
            return Err("needs at least one range".into());
        }
        let mut sorted = ranges.clone();
        sorted.sort_unstable();
        for (first, count) in &sorted {
            if *count == 0 {
                return Err(format!("the range at {first} is empty"));
            }
            if first.checked_add(*count).is_none() {
                return Err(format!("the range at {first} with {count} indices leaves 64 bits"));
            }
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err(format!("index {} is asked for twice", pair[1].0));
        }
        let len = ranges.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        Ok(Self { ranges, len })
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The index at a position below `len`.
    pub(crate) fn at(&self, position: u64) -> u64 {
        let mut left = position;
        for (first, count) in &self.ranges {
            if left < *count {
                return first + left;
            }
            left -= count;
        }
        unreachable!("position {position} is below the {} indices", self.len)
    }

    /// Whether an index is among them.
    pub(crate) fn contains(&self, index: u64) -> bool {
        self.ranges.iter().any(|(first, count)| (*first..first + count).contains(&index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_come_in_the_order_asked_for() {
        let indices = Indices::new(vec![(10, 2), (0, 3)]).unwrap();
        let all: Vec<_> = (0..indices.len()).map(|position| indices.at(position)).collect();
        assert_eq!(all, [10, 11, 0, 1, 2]);
        assert!(indices.contains(11) && !indices.contains(12));
    }

    #[test]
    fn ranges_that_are_empty_overlap_or_overflow_are_refused() {
        assert!(Indices::new(vec![]).is_err());
        assert!(Indices::new(vec![(3, 0)]).unwrap_err().contains("empty"));
        assert!(Indices::new(vec![(0, 5), (4, 1)]).unwrap_err().contains("index 4"));
        assert!(Indices::new(vec![(u64::MAX, 1)]).unwrap_err().contains("64 bits"));
        assert!(Indices::new(vec![(u64::MAX - 1, 1)]).is_ok());
    }

    #[test]
    fn the_last_step_is_always_shown() {
        let watch = Watch {
            indices: vec![3],
            x_0: true,
            x_t: false,
            every_steps: 4,
            delivery: Delivery::Latest,
        };
        let shown: Vec<_> = (1..=10).filter(|step| watch.shows(3, *step, 10)).collect();
        assert_eq!(shown, [4, 8, 10]);
        assert!(!watch.shows(2, 4, 10));
    }
}
