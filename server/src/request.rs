//! A checked request, in our own types.

use std::sync::Arc;

use ddpm_diffusion::{Program, slerp};

use crate::{outbox::Delivery, scheduler::ModelId};

/// What to sample; everything is checked and every default filled in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The client's name for it, for the log.
    pub(crate) request_id: String,
    pub(crate) model: ModelId,
    pub(crate) program: Arc<Program>,
    pub(crate) program_digest: String,
    pub(crate) seed: u64,
    pub(crate) indices: Indices,
    /// The sample of index i gets label i mod length; empty: none.
    pub(crate) class_labels: Vec<u32>,
    pub(crate) initial: Arc<Initial>,
    pub(crate) known: Option<Arc<KnownImage>>,
    pub(crate) watch: Option<Watch>,
}

impl Request {
    /// The label of a sample.
    pub(crate) fn class_label(&self, index: u64) -> Option<u32> {
        let count = self.class_labels.len() as u64;
        (count > 0).then(|| self.class_labels[(index % count) as usize])
    }

    /// Bytes of memory that its rows and inputs take.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = size_of_val(self.program.rows());
        let known = self.known.as_ref().map_or(0, |known| known.image.len() + known.mask.len());
        (rows + (self.initial.elements() + known) * size_of::<f32>()) as u64
    }

    /// Network evaluations of all samples.
    pub(crate) fn evals(&self) -> u64 {
        self.program.evals().saturating_mul(self.indices.len())
    }
}

/// What samples start from.
#[derive(Debug, PartialEq)]
pub(crate) enum Initial {
    /// Draw 0 of their noise.
    Noise,
    /// The sample of index i starts from element i mod length.
    Given(Vec<Vec<f32>>),
    /// The sample of index i stands at (i mod frames) / (frames − 1) of the way.
    Between { from: Vec<f32>, to: Vec<f32>, frames: u64 },
}

impl Initial {
    /// States of the whole way between two; 0: there is no such way.
    pub(crate) fn frames(&self) -> u32 {
        match self {
            Self::Between { frames, .. } => *frames as u32,
            Self::Noise | Self::Given(_) => 0,
        }
    }

    /// Numbers that are kept of it.
    fn elements(&self) -> usize {
        match self {
            Self::Noise => 0,
            Self::Given(states) => states.iter().map(Vec::len).sum(),
            Self::Between { from, to, .. } => from.len() + to.len(),
        }
    }

    /// The state that a sample starts from, if it is given.
    pub(crate) fn state(&self, index: u64) -> Option<Vec<f32>> {
        match self {
            Self::Noise => None,
            Self::Given(states) => Some(states[(index % states.len() as u64) as usize].clone()),
            Self::Between { from, to, frames } => {
                let fraction = (index % frames) as f64 / (frames - 1) as f64;
                let mut state = vec![0.0; from.len()];
                slerp(from, to, fraction, &mut state);
                Some(state)
            }
        }
    }
}

/// An image that is known in part.
#[derive(Debug, PartialEq)]
pub(crate) struct KnownImage {
    /// In the model's scale and layout.
    pub(crate) image: Vec<f32>,
    /// Of the same length: 1 where it is known, 0 elsewhere.
    pub(crate) mask: Vec<f32>,
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
    /// (first index, position of the first), in the order asked for.
    ranges: Vec<(u64, u64)>,
    /// (first index, last index), sorted.
    sorted: Vec<(u64, u64)>,
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
        let mut len: u64 = 0;
        let ranges = ranges.into_iter().map(|(first, count)| {
            let position = len;
            len = len.saturating_add(count);
            (first, position)
        });
        let ranges = ranges.collect();
        let sorted = sorted.into_iter().map(|(first, count)| (first, first + (count - 1)));
        Ok(Self { ranges, sorted: sorted.collect(), len })
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The index at a position below `len`.
    pub(crate) fn at(&self, position: u64) -> u64 {
        let range = self.ranges.partition_point(|(_, begins)| *begins <= position) - 1;
        let (first, begins) = self.ranges[range];
        first + (position - begins)
    }

    /// Whether an index is among them.
    pub(crate) fn contains(&self, index: u64) -> bool {
        let range = self.sorted.partition_point(|(first, _)| *first <= index);
        range > 0 && index <= self.sorted[range - 1].1
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
        assert!(indices.contains(2) && !indices.contains(3) && !indices.contains(9));
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
    fn states_that_are_given_go_around_and_those_between_two_include_both() {
        let given = Initial::Given(vec![vec![1.0], vec![2.0]]);
        assert_eq!(given.state(u64::MAX), Some(vec![2.0]));
        let (from, to) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let between = Initial::Between { from: from.clone(), to: to.clone(), frames: 5 };
        assert_eq!(between.state(0), Some(from.clone()));
        assert_eq!(between.state(4), Some(to));
        assert_eq!(between.state(5), Some(from));
        assert_eq!(Initial::Noise.state(3), None);
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
