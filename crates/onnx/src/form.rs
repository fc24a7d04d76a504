//! How a graph uses the cores: which of two forms is faster is measured, not known.
//!
//! * **Shared**: one session, whose operators share the runtime's pool of threads. Best for large
//!   networks.
//! * **Lanes**: each thread takes its rows through the whole network. Best for small ones; where
//!   rows take less than waking a thread does, one thread takes them all.
//!
//! Samples must not depend on a measurement: lanes are used only where both forms give the same
//! bits for the golden inputs.

use ddpm_package::Package;
use tracing::{debug, warn};

use crate::examples::Examples;
use crate::graph::Graph;
use crate::lanes::Lanes;
use crate::timing::{MOST_ROWS, OneLane, SIZES, Side, compare, is_large};
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
        mut shared: Graph,
        bytes: &[u8],
        package: &Package,
    ) -> Self {
        let Some(count) = Lanes::count(bytes.len(), runtime.threads()) else {
            return Self::Shared(shared);
        };
        let better =
            Lanes::open(runtime, bytes, package.manifest(), count).and_then(|mut lanes| {
                Ok(is_better(&mut lanes, &mut shared, package)?.then_some(lanes))
            });
        match better {
            Ok(Some(lanes)) => Self::Lanes(lanes),
            // The golden check says what is wrong with a package.
            Ok(None) | Err(Error::Package(_)) => Self::Shared(shared),
            Err(error) => {
                let model = &package.manifest().name;
                warn!(model, %error, "rows are not divided among threads");
                Self::Shared(shared)
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

/// Returns whether lanes have the bits of the shared pool and are faster; sets their grain.
fn is_better(lanes: &mut Lanes, shared: &mut Graph, package: &Package) -> Result<bool, Error> {
    let model = &package.manifest().name;
    let examples = Examples::new(&package.golden()?, package.manifest());
    let mut on_shared = |rows| examples.time(rows, |batch, out| shared.evaluate(batch, out));
    if is_large(|| on_shared(1))? {
        debug!(model, "rows are not divided among threads: the network is large");
        return Ok(false);
    }
    for rows in SIZES {
        let ours = examples.outputs(rows, |batch, out| lanes.evaluate(batch, out))?;
        let theirs = examples.outputs(rows, |batch, out| shared.evaluate(batch, out))?;
        if !same_bits(&ours, &theirs) {
            debug!(model, rows, "rows are not divided among threads: bits would differ");
            return Ok(false);
        }
    }
    lanes.set_grain(usize::MAX);
    let one =
        OneLane::measure(|rows| examples.time(rows, |batch, out| lanes.evaluate(batch, out)))?;
    lanes.set_grain(one.grain());
    let seconds = compare(|side, rows| {
        examples.time(rows, |batch, out| match side {
            Side::Shared => shared.evaluate(batch, out),
            Side::Lanes => lanes.evaluate(batch, out),
        })
    })?;
    let used = lanes.used(MOST_ROWS);
    let divided = seconds.favour_lanes(one.seconds(MOST_ROWS.div_ceil(used)), used);
    debug!(model, divided, ?one, ?seconds, "seconds of 1 and of 8 rows");
    Ok(divided)
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Device, DeviceChoice, RuntimeOptions};

    fn embedded(model: &str) -> Package {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        Package::open(&models.join(model)).unwrap()
    }

    fn runtime() -> &'static Runtime {
        Runtime::load(&RuntimeOptions { threads: Some(2), ..RuntimeOptions::default() }).unwrap()
    }

    fn shared(package: &Package) -> Graph {
        let device = Device::choose(runtime(), DeviceChoice::Cpu).unwrap();
        let (session, bytes) = (device.session(runtime()), package.portable_graph().unwrap());
        Graph::open(session.unwrap(), &bytes, package.manifest()).unwrap()
    }

    fn lanes(package: &Package, count: usize) -> Lanes {
        let bytes = package.portable_graph().unwrap();
        Lanes::open(runtime(), &bytes, package.manifest(), count).unwrap()
    }

    fn examples(package: &Package) -> Examples {
        Examples::new(&package.golden().unwrap(), package.manifest())
    }

    #[test]
    fn both_forms_have_the_same_bits() {
        for model in ["toy", "glyphs"] {
            let package = embedded(model);
            let (mut shared, examples) = (shared(&package), examples(&package));
            for (count, grain) in [(1, 1), (2, 1), (3, 1), (3, 2), (2, usize::MAX)] {
                let mut lanes = lanes(&package, count);
                lanes.set_grain(grain);
                for rows in 1..=8 {
                    let want = examples.outputs(rows, |batch, out| shared.evaluate(batch, out));
                    let got = examples.outputs(rows, |batch, out| lanes.evaluate(batch, out));
                    let same = same_bits(&got.unwrap(), &want.unwrap());
                    assert!(same, "{model}: {rows} rows in {count} lanes");
                }
            }
        }
    }

    #[test]
    fn an_error_of_onnx_runtime_in_any_lane_is_reported() {
        let package = embedded("glyphs");
        let mut lanes = lanes(&package, 2);
        let mut evaluate =
            |examples: Examples| examples.outputs(8, |batch, out| lanes.evaluate(batch, out));
        for row in [0, 7] {
            let mut golden = package.golden().unwrap();
            golden.class_labels.as_mut().unwrap()[row] = 1_000_000;
            let got = evaluate(Examples::new(&golden, package.manifest()));
            assert!(matches!(got, Err(Error::Run(text)) if text.contains("1000000")), "row {row}");
        }
        assert!(evaluate(examples(&package)).is_ok());
    }

    #[test]
    fn bits_differ_by_the_sign_of_zero_and_by_length() {
        assert!(same_bits(&[f32::NAN, 1.0], &[f32::NAN, 1.0]));
        assert!(!same_bits(&[0.0], &[-0.0]));
        assert!(!same_bits(&[1.0], &[1.0, 1.0]));
    }
}
