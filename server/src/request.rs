//! A checked request in our own types.

use std::sync::Arc;
use std::time::Instant;

use ddpm_diffusion::{Program, slerp};

use crate::outbox::Delivery;
use crate::scheduler::{ModelId, Priority};

/// What to sample, with everything checked and every default filled in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The client's id for the request, for the log.
    pub(crate) request_id: String,
    pub(crate) model: ModelId,
    pub(crate) program: Arc<Program>,
    pub(crate) program_digest: String,
    pub(crate) seed: u64,
    pub(crate) indices: Indices,
    /// The sample with index i gets label i mod length; empty: samples have no label.
    pub(crate) class_labels: Vec<u32>,
    pub(crate) initial: Arc<Initial>,
    pub(crate) known: Option<Arc<KnownImage>>,
    pub(crate) watch: Option<Watch>,
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<Deadline>,
}

/// When a request must be done, and what happens if it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// Whether to end with the samples that are done, shortly before it; otherwise it fails.
    pub(crate) returns_finished: bool,
}

impl Request {
    /// Returns the label of a sample.
    pub(crate) fn class_label(&self, index: u64) -> Option<u32> {
        let count = self.class_labels.len() as u64;
        (count > 0).then(|| self.class_labels[(index % count) as usize])
    }

    /// Returns the bytes of memory that its rows and inputs take, with the copies of its lists: the
    /// engine and the stream have a request each, and the receipt has labels too.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = size_of_val(self.program.rows());
        let known = self.known.as_ref().map_or(0, |known| known.image.len() + known.mask.len());
        let elements = (self.initial.elements() + known) * size_of::<f32>();
        let watched = self.watch.as_ref().map_or(0, |watch| size_of_val(&watch.indices[..]));
        let labels = size_of_val(&self.class_labels[..]);
        let lists = 3 * labels + 2 * (self.indices.bytes() + watched);
        (rows + elements + lists) as u64
    }

    /// Returns the network evaluations of all samples together.
    pub(crate) fn evals(&self) -> u64 {
        self.program.evals().saturating_mul(self.indices.len())
    }
}

/// What samples start from.
#[derive(Debug, PartialEq)]
pub(crate) enum Initial {
    /// Draw 0 of their noise.
    Noise,
    /// The sample with index i starts from element i mod length.
    States(Vec<Vec<f32>>),
    /// The sample with index i starts (i mod frames) / (frames − 1) of the way between two
    /// states.
    Interpolation { from: Vec<f32>, to: Vec<f32>, frames: u64 },
}

impl Initial {
    /// Returns the number of states of an interpolation, both ends included; 0 if there
    /// is none.
    pub(crate) fn frames(&self) -> u32 {
        match self {
            Self::Interpolation { frames, .. } => *frames as u32,
            Self::Noise | Self::States(_) => 0,
        }
    }

    /// Returns the number of elements it holds.
    fn elements(&self) -> usize {
        match self {
            Self::Noise => 0,
            Self::States(states) => states.iter().map(Vec::len).sum(),
            Self::Interpolation { from, to, .. } => from.len() + to.len(),
        }
    }

    /// Returns the state that a sample starts from; `None`: its noise.
    pub(crate) fn state(&self, index: u64) -> Option<Vec<f32>> {
        match self {
            Self::Noise => None,
            Self::States(states) => Some(states[(index % states.len() as u64) as usize].clone()),
            Self::Interpolation { from, to, frames } => {
                let fraction = (index % frames) as f64 / (frames - 1) as f64;
                let mut state = vec![0.0; from.len()];
                slerp(from, to, fraction, &mut state);
                Some(state)
            }
        }
    }
}

/// A partly known image.
#[derive(Debug, PartialEq)]
pub(crate) struct KnownImage {
    /// In the model's scale and layout.
    pub(crate) image: Vec<f32>,
    /// Of the image's length: 1 where it is known, 0 elsewhere.
    pub(crate) mask: Vec<f32>,
}

/// Which samples have previews, and how.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// Sorted.
    pub(crate) indices: Vec<u64>,
    pub(crate) x_0: bool,
    pub(crate) x_t: bool,
    /// At least 1.
    pub(crate) every_steps: u32,
    pub(crate) delivery: Delivery,
}

impl Watch {
    /// Returns whether a sample is shown after a step.
    pub(crate) fn shows(&self, index: u64, step: u32, num_steps: u32) -> bool {
        let due = step.is_multiple_of(self.every_steps) || step == num_steps;
        due && self.indices.binary_search(&index).is_ok()
    }
}

/// A set of sample indices, as disjoint ranges in the requested order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indices {
    /// (first index, its position), in the requested order.
    ranges: Vec<(u64, u64)>,
    /// (first index, last index), sorted.
    sorted: Vec<(u64, u64)>,
    len: u64,
}

impl Indices {
    /// Most bytes that [`Indices::new`] takes for a range: as it came, and sorted.
    pub(crate) const BYTES_PER_RANGE: usize = 2 * size_of::<(u64, u64)>();

    /// Creates the set from ranges (first index, count).
    ///
    /// # Errors
    ///
    /// A sentence, if there are no ranges, if a range is empty or exceeds u64, or if two
    /// ranges overlap.
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
                return Err(format!("the range at {first} with {count} indices exceeds 64 bits"));
            }
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err(format!("index {} is requested twice", pair[1].0));
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

    /// Returns the bytes of memory that it takes.
    fn bytes(&self) -> usize {
        size_of_val(&self.ranges[..]) + size_of_val(&self.sorted[..])
    }

    /// Returns the number of indices.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the index at a position below `len`.
    pub(crate) fn at(&self, position: u64) -> u64 {
        let range = self.ranges.partition_point(|(_, begins)| *begins <= position) - 1;
        let (first, begins) = self.ranges[range];
        first + (position - begins)
    }

    /// Returns whether the set contains an index.
    pub(crate) fn contains(&self, index: u64) -> bool {
        let range = self.sorted.partition_point(|(first, _)| *first <= index);
        range > 0 && index <= self.sorted[range - 1].1
    }
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::{Label, Row};

    use super::*;

    #[test]
    fn indices_come_in_the_requested_order() {
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
    fn given_states_repeat_and_interpolated_ones_include_both_ends() {
        let given = Initial::States(vec![vec![1.0], vec![2.0]]);
        assert_eq!(given.state(u64::MAX), Some(vec![2.0]));
        let (from, to) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let between = Initial::Interpolation { from: from.clone(), to: to.clone(), frames: 5 };
        assert_eq!(between.state(0), Some(from.clone()));
        assert_eq!(between.state(4), Some(to));
        assert_eq!(between.state(5), Some(from));
        assert_eq!(Initial::Noise.state(3), None);
    }

    #[test]
    fn lists_count_as_often_as_they_are_held() {
        let label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
        let row = Row { label, ..Row::at(0.0) };
        let request = Request {
            request_id: String::new(),
            model: 0,
            program: Arc::new(Program::new(vec![row]).unwrap()),
            program_digest: String::new(),
            seed: 0,
            indices: Indices::new(vec![(0, 1)]).unwrap(),
            class_labels: vec![],
            initial: Arc::new(Initial::Noise),
            known: None,
            watch: None,
            priority: Priority::Normal,
            deadline: None,
        };
        let labels = Request { class_labels: vec![0; 1000], ..request.clone() };
        assert_eq!(labels.bytes() - request.bytes(), 3 * 4 * 1000);
        let ranges = (0..1000).map(|at| (2 * at, 1)).collect();
        let ranges = Request { indices: Indices::new(ranges).unwrap(), ..request.clone() };
        // Two pairs of numbers for a range.
        assert_eq!(ranges.bytes() - request.bytes(), 2 * 999 * 32);
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
