//! Rows of a batch, divided among threads.
//!
//! A small network gains little from threads that share each of its operators: they wait for one
//! another hundreds of times a call. Here each thread takes its rows through the whole network,
//! with a session of its own that has no other threads.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ddpm_package::Manifest;
use rayon::ThreadPool;

use crate::graph::Graph;
use crate::{Batch, Device, Error, Runtime};

/// Most bytes of graphs in all lanes of a model: each holds its own weights.
const LANE_BYTES: usize = 256 << 20;

/// Sessions of one thread each, which share the rows of a batch.
#[derive(Debug)]
pub(crate) struct Lanes {
    graphs: Vec<Graph>,
    workers: Arc<ThreadPool>,
    sample_len: usize,
    grain: usize,
}

impl Lanes {
    /// Returns how many lanes a graph may have: one a thread, or none if there is only one thread
    /// or their weights would take too much memory.
    ///
    /// * `bytes`: size of the ONNX file.
    /// * `threads`: threads of the runtime.
    pub(crate) fn count(bytes: usize, threads: usize) -> Option<usize> {
        (threads > 1 && bytes.saturating_mul(threads) <= LANE_BYTES).then_some(threads)
    }

    /// Loads a graph into a number of lanes, on the CPU.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if it cannot be loaded or differs from the manifest, or if threads cannot
    /// be started.
    pub(crate) fn open(
        runtime: &Runtime,
        bytes: &[u8],
        manifest: &Manifest,
        count: usize,
    ) -> Result<Self, Error> {
        let workers = runtime.workers().map_err(Error::Graph)?;
        let open = |_| {
            let builder = Device::single_thread(runtime).map_err(Error::Graph)?;
            Graph::open(builder, bytes, manifest)
        };
        let graphs = (0..count).map(open).collect::<Result<_, _>>()?;
        Ok(Self { graphs, workers, sample_len: manifest.sample_len(), grain: 1 })
    }

    /// Sets the fewest rows that a lane gets while others get some too; at first 1. Waking a thread
    /// for less would take longer than the rows.
    pub(crate) fn set_grain(&mut self, rows: usize) {
        self.grain = rows.max(1);
    }

    /// Returns how many lanes take a share of a number of rows.
    pub(crate) fn used(&self, rows: usize) -> usize {
        (rows / self.grain).clamp(1, self.graphs.len())
    }

    /// Returns the number of lanes.
    pub(crate) fn len(&self) -> usize {
        self.graphs.len()
    }

    /// Evaluates the graph on a batch.
    ///
    /// * `out`: `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if a lane fails.
    pub(crate) fn evaluate(&mut self, batch: Batch<'_>, out: &mut [f32]) -> Result<(), Error> {
        let rows = batch.timestep.len();
        let sample_len = self.sample_len;
        let lanes = self.used(rows);
        divide(&self.workers, &mut self.graphs[..lanes], rows, out, |graph, share, out| {
            graph.evaluate(batch.rows(share, sample_len), out)
        })
    }
}

/// Runs a function on every lane's share of the rows, all at the same time: the first on this
/// thread, the others on the workers. Returns when all have ended.
///
/// * `out`: one value or more per row; each lane gets the part of its rows.
///
/// # Errors
///
/// The error of the first lane that fails; a panic is one.
fn divide<L: Send>(
    workers: &ThreadPool,
    lanes: &mut [L],
    rows: usize,
    out: &mut [f32],
    run: impl Fn(&mut L, Range<usize>, &mut [f32]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let row_len = out.len() / rows.max(1);
    let shares = shares(rows, lanes.len());
    let mut results: Vec<_> = shares.iter().map(|_| Ok(())).collect();
    let mut rest = out;
    let tasks = lanes.iter_mut().zip(shares).zip(&mut results).map(|((lane, share), result)| {
        let (part, further) = std::mem::take(&mut rest).split_at_mut(share.len() * row_len);
        rest = further;
        (lane, share, part, result)
    });
    let run = |(lane, share, part, result): (_, _, _, &mut _)| {
        let ran = catch_unwind(AssertUnwindSafe(|| run(lane, share, part)));
        *result =
            ran.unwrap_or_else(|_| Err(Error::Run("a thread of the network panicked".into())));
    };
    let run = &run;
    workers.in_place_scope(|scope| {
        let mut tasks = tasks;
        let own = tasks.next();
        tasks.for_each(|task| scope.spawn(move |_| run(task)));
        own.into_iter().for_each(run);
    });
    results.into_iter().collect()
}

/// Divides rows into at most `lanes` shares, in order, as evenly as it goes: the first ones are the
/// larger ones. No rows are one empty share.
fn shares(rows: usize, lanes: usize) -> Vec<Range<usize>> {
    let count = rows.clamp(1, lanes.max(1));
    (0..count).map(|lane| start(rows, count, lane)..start(rows, count, lane + 1)).collect()
}

/// Returns the first row of a share.
fn start(rows: usize, count: usize, share: usize) -> usize {
    rows / count * share + share.min(rows % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap()
    }

    /// Writes each row's number, and its lane's.
    fn number(lane: &mut usize, share: Range<usize>, out: &mut [f32]) -> Result<(), Error> {
        assert_eq!(out.len(), 2 * share.len());
        for (row, values) in share.zip(out.chunks_mut(2)) {
            values.copy_from_slice(&[row as f32, *lane as f32]);
        }
        Ok(())
    }

    #[test]
    fn rows_stay_in_order_whatever_the_lanes() {
        let workers = workers(2);
        for count in 1..=3 {
            let mut lanes: Vec<_> = (0..count).collect();
            for rows in 0..=9 {
                let mut out = vec![f32::NAN; 2 * rows];
                divide(&workers, &mut lanes, rows, &mut out, number).unwrap();
                let order: Vec<_> = out.chunks(2).map(|values| values[0]).collect();
                let want: Vec<_> = (0..rows).map(|row| row as f32).collect();
                assert_eq!(order, want, "{rows} rows in {count} lanes");
            }
        }
    }

    #[test]
    fn shares_differ_by_one_row_at_most_and_the_first_are_larger() {
        assert_eq!(shares(9, 2), [0..5, 5..9]);
        assert_eq!(shares(8, 3), [0..3, 3..6, 6..8]);
        assert_eq!(shares(2, 3), [0..1, 1..2]);
        assert_eq!(shares(5, 1), [0..5; 1]);
        assert_eq!(shares(0, 3), [0..0; 1]);
    }

    #[test]
    fn lanes_run_at_the_same_time() {
        let barrier = std::sync::Barrier::new(3);
        let meet = |_: &mut usize, _, _: &mut [f32]| {
            barrier.wait();
            Ok(())
        };
        divide(&workers(2), &mut [0, 1, 2], 3, &mut [0.0; 3], meet).unwrap();
    }

    #[test]
    fn an_error_of_any_lane_is_the_error_of_the_call() {
        let workers = workers(2);
        for broken in 0..3 {
            let fail = |lane: &mut usize, _, _: &mut [f32]| match *lane == broken {
                true => Err(Error::Run(format!("lane {lane}"))),
                false => Ok(()),
            };
            let got = divide(&workers, &mut [0, 1, 2], 7, &mut [0.0; 7], fail);
            assert!(matches!(got, Err(Error::Run(text)) if text == format!("lane {broken}")));
        }
    }

    #[test]
    fn a_panic_of_any_lane_is_an_error_and_the_next_call_works() {
        let workers = workers(2);
        for broken in 0..3 {
            let panic = |lane: &mut usize, _, _: &mut [f32]| match *lane == broken {
                true => panic!("on purpose"),
                false => Ok(()),
            };
            let mut out = [0.0; 10];
            let got = divide(&workers, &mut [0, 1, 2], 5, &mut out, panic);
            assert!(matches!(got, Err(Error::Run(text)) if text.contains("panicked")));
            divide(&workers, &mut [0, 1, 2], 5, &mut out, number).unwrap();
            assert_eq!(out, [0.0, 0.0, 1.0, 0.0, 2.0, 1.0, 3.0, 1.0, 4.0, 2.0]);
        }
    }

    #[test]
    fn lanes_are_as_many_as_threads_within_the_bound_on_memory() {
        assert_eq!(Lanes::count(128 << 20, 2), Some(2));
        assert_eq!(Lanes::count((128 << 20) + 1, 2), None);
        assert_eq!(Lanes::count(4 << 20, 64), Some(64));
        assert_eq!(Lanes::count((4 << 20) + 1, 64), None);
        assert_eq!(Lanes::count(1, 1), None);
        assert_eq!(Lanes::count(usize::MAX, 2), None);
    }
}
