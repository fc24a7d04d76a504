//! How a graph uses the cores: which of two forms is faster is measured, not known.
//!
//! * **Shared**: one session, whose operators share the runtime's pool of threads. Best for large
//!   networks, and for those so small that waking a thread takes longer than they do.
//! * **Lanes**: each thread takes its rows through the whole network. Best in between.
//!
//! Samples must not depend on a measurement: lanes are used only where both forms give the same
//! bits.

use std::time::Instant;

use ddpm_package::{Golden, Manifest, Package};
use tracing::{debug, warn};

use crate::graph::Graph;
use crate::lanes::Lanes;
use crate::{Batch, Error, Runtime};

/// A graph, ready to use the cores in one of two ways.
#[derive(Debug)]
pub(crate) enum Form {
    /// One session on the pool that all graphs share.
    Shared(Graph),
    /// A session per thread.
    Lanes(Lanes),
}

impl Form {
    /// Returns the faster form of a graph on the CPU.
    ///
    /// * `shared`: the graph on the shared pool; kept if the lanes fail.
    /// * `bytes`: the ONNX file.
    pub(crate) fn faster(
        runtime: &Runtime,
        shared: Graph,
        bytes: &[u8],
        package: &Package,
    ) -> Self {
        let Some(count) = Lanes::count(bytes.len(), runtime.threads()) else {
            return Self::Shared(shared);
        };
        let mut shared = Self::Shared(shared);
        let better =
            Lanes::open(runtime, bytes, package.manifest(), count).map(Self::Lanes).and_then(
                |mut lanes| Ok(is_better(&mut lanes, &mut shared, package)?.then_some(lanes)),
            );
        match better {
            Ok(Some(lanes)) => lanes,
            Ok(None) => shared,
            Err(error) => {
                let model = &package.manifest().name;
                warn!(model, %error, "rows are not divided among threads");
                shared
            }
        }
    }

    /// Evaluates the graph on a batch.
    ///
    /// * `out`: `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the lengths do not fit or ONNX Runtime fails.
    pub(crate) fn evaluate(&mut self, batch: Batch<'_>, out: &mut [f32]) -> Result<(), Error> {
        match self {
            Self::Shared(graph) => graph.evaluate(batch, out),
            Self::Lanes(lanes) => lanes.evaluate(batch, out),
        }
    }

    /// Returns how many lanes there are; 0 on the shared pool.
    pub(crate) fn lanes(&self) -> usize {
        match self {
            Self::Shared(_) => 0,
            Self::Lanes(lanes) => lanes.len(),
        }
    }
}

/// Numbers of rows that are compared and timed.
const SIZES: [usize; 2] = [1, 8];
/// What the better form may take of the other's time, summed over the sizes.
const GAIN: f64 = 0.95;
/// Time for a measurement, in seconds, unless fewer than the least rounds fit into it.
const TIME: f64 = 0.15;
/// Fewest rounds that count, so that a busy machine does not decide.
const MIN_ROUNDS: u32 = 4;
/// Most rounds that count.
const MAX_ROUNDS: u32 = 100;
/// Seconds of a first round from which a network counts as large: its operators use the cores well,
/// and a measurement would take too long.
const LARGE: f64 = 0.25;

/// Returns whether lanes have the bits of the shared pool and are faster.
fn is_better(lanes: &mut Form, shared: &mut Form, package: &Package) -> Result<bool, Error> {
    let model = &package.manifest().name;
    let examples = Examples::new(&package.golden()?, package.manifest());
    for rows in SIZES {
        if !same_bits(&examples.outputs(lanes, rows)?, &examples.outputs(shared, rows)?) {
            debug!(model, rows, "rows are not divided among threads: bits would differ");
            return Ok(false);
        }
    }
    let mut out = vec![0.0; examples.output_len * SIZES[1]];
    let mut forms = [shared, lanes];
    let best = fastest(|form, rows| {
        let out = &mut out[..rows * examples.output_len];
        let start = Instant::now();
        forms[form].evaluate(examples.batch(rows), out)?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    let better = best.is_some_and(|[shared, lanes]| sum(lanes) <= GAIN * sum(shared));
    debug!(model, better, ?best, "seconds of [[1, 8] rows on the shared pool, [1, 8] in lanes]");
    Ok(better)
}

fn sum(seconds: [f64; 2]) -> f64 {
    seconds.into_iter().sum()
}

/// Returns the least seconds of a call, by form and size; `None` if the network is too large to
/// measure. The forms take turns, so that what else the machine does meets both.
///
/// * `time`: calls a form, 0 or 1, on a number of rows and returns the seconds.
fn fastest(
    mut time: impl FnMut(usize, usize) -> Result<f64, Error>,
) -> Result<Option<[[f64; 2]; 2]>, Error> {
    let mut round = || -> Result<[[f64; 2]; 2], Error> {
        let mut seconds = [[0.0; 2]; 2];
        for (size, rows) in SIZES.into_iter().enumerate() {
            for (form, seconds) in seconds.iter_mut().enumerate() {
                seconds[size] = time(form, rows)?;
            }
        }
        Ok(seconds)
    };
    // The first round finds cold caches, so it does not count.
    let mut spent: f64 = round()?.into_iter().map(sum).sum();
    if spent > LARGE {
        return Ok(None);
    }
    let mut best = [[f64::INFINITY; 2]; 2];
    for number in 0..MAX_ROUNDS {
        if number >= MIN_ROUNDS && spent >= TIME {
            break;
        }
        let seconds = round()?;
        spent += seconds.into_iter().map(sum).sum::<f64>();
        for (best, seconds) in best.iter_mut().flatten().zip(seconds.into_iter().flatten()) {
            *best = best.min(seconds);
        }
    }
    Ok(Some(best))
}

/// The golden inputs of a package, repeated to the largest size.
struct Examples {
    sample: Vec<f32>,
    timestep: Vec<f32>,
    class_labels: Vec<i64>,
    sample_len: usize,
    output_len: usize,
}

impl Examples {
    fn new(golden: &Golden, manifest: &Manifest) -> Self {
        let sample_len = manifest.sample_len();
        let rows = || (0..golden.count).cycle().take(SIZES[1]);
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

    fn outputs(&self, form: &mut Form, rows: usize) -> Result<Vec<f32>, Error> {
        let mut out = vec![0.0; rows * self.output_len];
        form.evaluate(self.batch(rows), &mut out)?;
        Ok(out)
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Device, DeviceChoice, RuntimeOptions};

    const SHARED: usize = 0;

    #[test]
    fn the_fastest_of_several_rounds_counts_and_the_first_does_not() {
        let mut calls = 0;
        let best = fastest(|form, rows| {
            calls += 1;
            let round = (calls - 1) / 4;
            Ok(match (round, form, rows) {
                (0, ..) => 1e-9,
                (3, SHARED, 1) => 1e-3,
                (2, _, 8) => 5e-3,
                _ => 20e-3,
            })
        });
        assert_eq!(best.unwrap(), Some([[1e-3, 5e-3], [20e-3, 5e-3]]));
    }

    #[test]
    fn a_measurement_ends_after_its_time_but_not_before_its_least_rounds() {
        let rounds = |seconds| {
            let mut calls = 0;
            let mut time = |_, _| {
                calls += 1;
                Ok(seconds)
            };
            fastest(&mut time).unwrap();
            calls / 4
        };
        // 4 calls of 5 ms a round; the first of the 8 that take 0.15 s does not count.
        assert_eq!(rounds(5e-3), 8);
        assert_eq!(rounds(50e-3), 1 + MIN_ROUNDS);
        assert_eq!(rounds(1e-6), 1 + MAX_ROUNDS);
    }

    #[test]
    fn a_large_network_is_not_measured() {
        assert_eq!(fastest(|_, _| Ok(0.26 / 4.0)).unwrap(), None);
        assert!(fastest(|_, _| Ok(0.24 / 4.0)).unwrap().is_some());
    }

    #[test]
    fn both_forms_have_the_same_bits() {
        let options = RuntimeOptions { threads: Some(2), ..RuntimeOptions::default() };
        let runtime = Runtime::load(&options).unwrap();
        let device = Device::choose(runtime, DeviceChoice::Cpu).unwrap();
        for model in ["toy", "glyphs"] {
            let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
            let package = Package::open(&models.join(model)).unwrap();
            let (bytes, manifest) = (package.portable_graph().unwrap(), package.manifest());
            let session = device.session(runtime).unwrap();
            let mut shared = Form::Shared(Graph::open(session, &bytes, manifest).unwrap());
            let examples = Examples::new(&package.golden().unwrap(), manifest);
            for count in 1..=3 {
                let lanes = Lanes::open(runtime, &bytes, manifest, count).unwrap();
                let mut lanes = Form::Lanes(lanes);
                for rows in 1..=8 {
                    let want = examples.outputs(&mut shared, rows).unwrap();
                    let got = examples.outputs(&mut lanes, rows).unwrap();
                    assert!(same_bits(&got, &want), "{model}: {rows} rows in {count} lanes");
                }
            }
        }
    }

    #[test]
    fn bits_differ_by_the_sign_of_zero_and_by_length() {
        assert!(same_bits(&[f32::NAN, 1.0], &[f32::NAN, 1.0]));
        assert!(!same_bits(&[0.0], &[-0.0]));
        assert!(!same_bits(&[1.0], &[1.0, 1.0]));
    }
}
