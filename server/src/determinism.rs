//! Checks that the bits of a row do not depend on the rest of its batch.
//!
//! Each example is evaluated alone, twice; then batches of many sizes hold the examples at every
//! position, in two orders, so that each has other neighbours at another place. Every row of every
//! batch must have the bits that it has alone. Strict requests rely on that.

use serde::{Deserialize, Serialize};

use crate::cost::CostCurve;
use crate::runtime::{HostModel, Inputs, RuntimeError};

/// Whether a sample's bits may depend on who shares its calls of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Determinism {
    /// Whether every row had the bits that it has alone.
    pub(crate) strict: bool,
    /// What was tried, or what differed.
    pub(crate) why: String,
    /// Largest size that was tried, in evals: calls must not be larger.
    pub(crate) largest: u32,
}

/// Sizes up to this one are all tried.
const EVERY_SIZE_TO: u32 = 8;
/// Most evals that the sizes between there and the largest may cost in one order.
const MOST_EVALS: u32 = 200;
/// Time for a sweep, in seconds, unless sizes that are in use need more.
const SWEEP_TIME: f64 = 0.3;
/// Largest size that is tried unless a larger one is in use.
const LARGEST: u32 = 1024;
/// Most examples that are used.
const MOST_EXAMPLES: usize = 16;

/// How examples are laid out in a batch.
#[derive(Debug, Clone, Copy)]
enum Order {
    Forward,
    Backward,
}

impl Order {
    /// Returns which of `count` examples stands at a position; it differs from size to size.
    fn example(self, position: usize, size: u32, count: usize) -> usize {
        let forward = (position + size as usize) % count;
        match self {
            Self::Forward => forward,
            Self::Backward => count - 1 - forward,
        }
    }
}

/// Returns the largest size to try, in evals: the largest in use, or more if that takes little
/// time, since a measurement that goes on may find larger ones to be better.
///
/// * `max`: largest size that may be used.
pub(crate) fn reach(curve: &CostCurve, max: u32) -> u32 {
    let used = curve.largest();
    // Beyond it no eval takes longer; by the last slope alone it might seem to take nothing.
    let most = |size: u32| f64::from(size) / f64::from(used) * curve.seconds(used);
    let seconds = |size: u32| if size <= used { curve.seconds(size) } else { most(size) };
    let orders = 2.0;
    let cost = |largest: &u32| orders * sizes(*largest).into_iter().map(seconds).sum::<f64>();
    let max = max.min(LARGEST).max(used);
    let further = std::iter::successors(Some(used), |size| {
        (*size < max).then(|| size.saturating_mul(2).min(max))
    });
    further.take_while(|size| cost(size) <= SWEEP_TIME).last().unwrap_or(used)
}

/// Tries batches of all sizes up to 8, then 12, 16, 24, 32, … and the largest.
///
/// * `largest`: largest size in use, in evals.
///
/// # Errors
///
/// If the network could not be run.
pub(crate) fn sweep(model: &mut HostModel, largest: u32) -> Result<Determinism, RuntimeError> {
    let count = model.examples.rows().min(MOST_EXAMPLES);
    let alone = (0..count).map(|row| evaluate(model, [row])).collect::<Result<Vec<_>, _>>()?;
    for (row, first) in alone.iter().enumerate() {
        if !same_bits(first, &evaluate(model, [row])?) {
            let why = format!("example {row}, alone both times, has other bits the second time");
            return Ok(Determinism { strict: false, why, largest });
        }
    }
    let sizes = sizes(largest);
    let mut differing = Vec::new();
    let mut first = None;
    for size in &sizes {
        if let Some(position) = first_difference(model, *size, &alone)? {
            first.get_or_insert((*size, position));
            differing.push(size.to_string());
        }
    }
    let why = match first {
        None => format!("every row alone and in batches of {} sizes up to {largest}", sizes.len()),
        Some((size, position)) => format!(
            "a row at position {position} of a batch of {size} has other bits than alone; sizes \
             that differ: {}",
            differing.join(", ")
        ),
    };
    Ok(Determinism { strict: first.is_none(), why, largest })
}

/// Returns the sizes to try, ascending.
fn sizes(largest: u32) -> Vec<u32> {
    let mut sizes: Vec<u32> = (1..=EVERY_SIZE_TO.min(largest)).collect();
    let further = (3..31).flat_map(|power| [3 << (power - 1), 1 << (power + 1)]);
    let mut evals: u32 = sizes.iter().sum();
    for size in further.take_while(|size| *size <= largest) {
        evals += size;
        if evals > MOST_EVALS {
            break;
        }
        sizes.push(size);
    }
    if sizes.last().is_none_or(|last| *last < largest) {
        sizes.push(largest);
    }
    sizes
}

/// Returns the first position of a batch, in either order, whose row differs from its bits alone.
fn first_difference(
    model: &mut HostModel,
    size: u32,
    alone: &[Vec<f32>],
) -> Result<Option<usize>, RuntimeError> {
    for order in [Order::Forward, Order::Backward] {
        let example = |position| order.example(position, size, alone.len());
        let outputs = evaluate(model, (0..size as usize).map(example))?;
        let mut rows = outputs.chunks(model.output_len).enumerate();
        let differs = |(position, row): &(usize, &[f32])| {
            *position < size as usize && !same_bits(row, &alone[example(*position)])
        };
        if let Some((position, _)) = rows.find(differs) {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// Evaluates examples in one call; padding may follow their rows.
fn evaluate(
    model: &mut HostModel,
    examples: impl IntoIterator<Item = usize>,
) -> Result<Vec<f32>, RuntimeError> {
    let (mut inputs, mut outputs) = (Inputs::default(), Vec::new());
    examples.into_iter().for_each(|row| inputs.push_row(&model.examples, row));
    model.call(&mut inputs, &mut outputs)?;
    Ok(outputs)
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use ddpm_onnx::Batch;

    use super::*;
    use crate::runtime::{Evaluator, Padding};

    const LEN: usize = 3;

    /// A network whose rows are computed by a function of the batch, the position and the number
    /// of calls so far.
    struct Network<F>(F, usize);

    impl<F: FnMut(&Batch<'_>, usize, usize) -> f32 + Send> Evaluator for Network<F> {
        fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), RuntimeError> {
            out.clear();
            for position in 0..batch.timestep.len() {
                let error = (self.0)(&batch, position, self.1);
                let row = &batch.sample[position * LEN..][..LEN];
                let t = batch.timestep[position];
                out.extend(row.iter().map(|x| 0.5 * x + 1e-3 * t + error));
            }
            self.1 += 1;
            Ok(())
        }
    }

    fn swept(
        largest: u32,
        padding: Padding,
        error: impl FnMut(&Batch<'_>, usize, usize) -> f32 + Send + 'static,
    ) -> Determinism {
        let rows = 5;
        let examples = Inputs {
            sample: (0..rows * LEN).map(|at| at as f32 * 0.1).collect(),
            timestep: (0..rows).map(|row| row as f32 * 100.0).collect(),
            class_labels: vec![0; rows],
        };
        let network = Box::new(Network(error, 0));
        let (sample_len, output_len, classes) = (LEN, LEN, 0);
        let mut model = HostModel { network, sample_len, output_len, classes, padding, examples };
        sweep(&mut model, largest).unwrap()
    }

    #[test]
    fn an_honest_network_is_strict() {
        for padding in [Padding::None, Padding::PowerOfTwo] {
            let found = swept(24, padding, |_, _, _| 0.0);
            let why = "every row alone and in batches of 11 sizes up to 24".into();
            assert_eq!(found, Determinism { strict: true, why, largest: 24 });
        }
    }

    #[test]
    fn a_network_whose_rows_depend_on_a_neighbour_is_not_strict() {
        let before = |batch: &Batch<'_>, position: usize, _: usize| {
            1e-6 * position.checked_sub(1).map_or(0.0, |before| batch.timestep[before])
        };
        let after = |batch: &Batch<'_>, position: usize, _: usize| {
            1e-6 * batch.timestep.get(position + 1).copied().unwrap_or(0.0)
        };
        assert!(!swept(8, Padding::None, before).strict);
        assert!(!swept(8, Padding::None, after).strict);
    }

    #[test]
    fn a_network_that_depends_on_one_position_is_not_strict() {
        let found =
            swept(16, Padding::None, |_, position, _| if position == 12 { 1e-3 } else { 0.0 });
        let want = "a row at position 12 of a batch of 16 has other bits than alone; sizes that \
                    differ: 16";
        assert_eq!(found, Determinism { strict: false, why: want.into(), largest: 16 });
    }

    #[test]
    fn a_network_that_depends_on_some_sizes_is_not_strict() {
        let odd = |batch: &Batch<'_>, _: usize, _: usize| {
            if [3, 5].contains(&batch.timestep.len()) { 1e-3 } else { 0.0 }
        };
        let found = swept(12, Padding::None, odd);
        assert!(!found.strict);
        assert!(found.why.ends_with("sizes that differ: 3, 5"), "{}", found.why);
        // Those sizes never reach the network.
        assert!(swept(12, Padding::PowerOfTwo, odd).strict);
    }

    #[test]
    fn a_network_that_depends_on_its_largest_size_is_not_strict() {
        let long = |batch: &Batch<'_>, _: usize, _: usize| {
            if batch.timestep.len() == 1000 { 1e-3 } else { 0.0 }
        };
        assert!(!swept(1000, Padding::None, long).strict);
        assert!(swept(999, Padding::None, long).strict);
    }

    #[test]
    fn a_network_whose_bits_change_from_call_to_call_is_not_strict() {
        let found = swept(4, Padding::None, |_, _, call| 1e-3 * call as f32);
        assert!(!found.strict);
        assert!(found.why.contains("the second time"), "{}", found.why);
    }

    #[test]
    fn a_difference_of_the_least_bit_is_found_and_zeros_of_either_sign_differ() {
        // The first element of example 0 is 0, and so is its t.
        let least = |batch: &Batch<'_>, position: usize, _: usize| {
            let zero = batch.timestep[position] == 0.0 && batch.timestep.len() > 1;
            if zero { f32::from_bits(1) } else { 0.0 }
        };
        assert!(!swept(4, Padding::None, least).strict);
        assert!(!same_bits(&[0.0], &[-0.0]));
        assert!(same_bits(&[f32::NAN], &[f32::NAN]));
        assert!(!same_bits(&[0.0], &[0.0, 0.0]));
    }

    #[test]
    fn sizes_are_all_up_to_8_then_sparse_within_200_evals_then_the_largest() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(sizes(9), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let to_8 = [1, 2, 3, 4, 5, 6, 7, 8];
        // 36 + 12 + 16 + 24 + 32 + 48 = 168 evals; 64 more would be too many.
        assert_eq!(sizes(64), [&to_8[..], &[12, 16, 24, 32, 48, 64]].concat());
        assert_eq!(sizes(1024), [&to_8[..], &[12, 16, 24, 32, 48, 1024]].concat());
    }

    #[test]
    fn sizes_beyond_those_in_use_are_tried_if_that_takes_little_time() {
        // Sizes 1 to 8 cost 36 evals, 12, 16 and 24 another 52: 2 · 88 · 1.7 ms is 299 ms.
        let slow = |millis: f64, largest| CostCurve::linear(1e-3 * millis, largest);
        assert_eq!(reach(&slow(1.7, 6), 1024), 24);
        assert_eq!(reach(&slow(1.8, 6), 1024), 12);
        assert_eq!(reach(&slow(1.7, 6), 7), 7);
        assert_eq!(reach(&slow(1000.0, 4), 1024), 4);
        assert_eq!(reach(&slow(1e-3, 4), 1024), 1024);
        // The last two sizes took the same time, which says little about 1024.
        assert_eq!(reach(&CostCurve::new(&[(1, 0.02), (2, 0.04), (3, 0.04)]), 1024), 3);
    }

    #[test]
    fn examples_come_in_a_circle_that_begins_at_the_size() {
        let row = |order: Order| [0, 1, 2, 3].map(|position| order.example(position, 8, 5));
        assert_eq!(row(Order::Forward), [3, 4, 0, 1]);
        assert_eq!(row(Order::Backward), [1, 0, 4, 3]);
    }

    #[test]
    fn every_example_meets_several_neighbours_at_several_positions() {
        let count = 5;
        let mut pairs = std::collections::BTreeSet::new();
        let mut places = std::collections::BTreeSet::new();
        for size in 1..=8 {
            for order in [Order::Forward, Order::Backward] {
                let row: Vec<_> =
                    (0..size as usize).map(|at| order.example(at, size, count)).collect();
                places.extend(row.iter().copied().enumerate());
                pairs.extend(row.windows(2).map(|pair| (pair[0], pair[1])));
            }
        }
        for example in 0..count {
            assert!(pairs.iter().filter(|(first, _)| *first == example).count() >= 2);
            assert!(places.iter().filter(|(_, there)| *there == example).count() >= 5);
        }
    }
}
