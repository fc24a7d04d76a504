//! `verify`: recomputes a package's golden outputs in libtorch and in ONNX Runtime.

use std::path::{Path, PathBuf};

use ddpm_console::note;
use ddpm_conversion::export::variants::LeftOut;
use ddpm_conversion::export::verify::{Check, verify};
use ddpm_onnx::{Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{GraphName, Package};

use super::output::out;
use super::{Failure, within};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of the package.
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,

    #[command(flatten)]
    ort: OrtArgs,
}

/// Which ONNX Runtime to use, and where it computes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OrtArgs {
    /// ONNX Runtime's library [default: ORT_DYLIB_PATH, beside this program, or the system's].
    #[arg(long, value_name = "FILE")]
    ort_lib: Option<PathBuf>,

    /// Where ONNX Runtime verifies the package: auto, cpu, cuda or cuda:N [default: cpu].
    #[arg(long, value_name = "DEVICE")]
    check_device: Option<DeviceChoice>,
}

const EXAMPLES: &str = "\
Exit code 6 if an engine differs by more than its tolerance, 3 if the package is damaged.

Examples:
  ddpm-exporter verify models/glyphs
  ddpm-exporter verify models/glyphs --check-device cuda";

impl OrtArgs {
    /// Checks that ONNX Runtime is there, and the device on which it is to verify.
    ///
    /// # Errors
    ///
    /// [`ddpm_onnx::Error`] says what is missing, and which command fetches it.
    pub(super) fn check_usable(&self) -> Result<(), ddpm_onnx::Error> {
        Runtime::locate(&self.runtime())?;
        match self.check_device {
            None | Some(DeviceChoice::Cpu) => Ok(()),
            Some(device) => Device::choose(Runtime::load(&self.runtime())?, device).map(|_| ()),
        }
    }

    /// Returns the options to load ONNX Runtime with.
    pub(super) fn runtime(&self) -> RuntimeOptions {
        RuntimeOptions { library: self.ort_lib.clone(), ..RuntimeOptions::default() }
    }
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let package = Package::open(&self.package).map_err(within(&self.package))?;
        let manifest = package.manifest();
        out!("{} {}, digest {}", manifest.name, manifest.version, package.digest())?;
        let checks = recompute(&package, &self.ort).map_err(within(&self.package))?;
        checks.iter().try_for_each(|check| out!("{}", line(check)))?;
        judge(&checks).map_err(within(&self.package))
    }
}

/// Verifies a package that was just written to a folder, and prints the results to stderr.
pub(super) fn check(folder: &Path, ort: &OrtArgs) -> Result<Package, Failure> {
    check_as(folder, folder, ort)
}

/// Verifies a package on its way to another place, which messages name.
pub(super) fn check_as(folder: &Path, place: &Path, ort: &OrtArgs) -> Result<Package, Failure> {
    let package = Package::open(folder).map_err(within(place))?;
    let checks = recompute(&package, ort).map_err(within(place))?;
    checks.iter().for_each(|check| note!("{}", line(check)));
    judge(&checks).map_err(within(place))?;
    Ok(package)
}

/// Writes a package, verifies it, and writes it again without its graph for CUDA if that alone
/// differs too much. Returns the graphs that it has to do without.
///
/// * `write`: gets whether the graph for CUDA is wanted and whether to replace what is there;
///   returns the graphs that the network cannot have.
pub(super) fn write_and_check(
    folder: &Path,
    (cuda, overwrite): (bool, bool),
    ort: &OrtArgs,
    write: impl Fn(bool, bool) -> Result<Vec<LeftOut>, Failure>,
) -> Result<Vec<LeftOut>, Failure> {
    let mut left_out = write(cuda, overwrite)?;
    if let Some(reason) = check_all_but_cuda(folder, ort)? {
        left_out.push(reason);
        left_out.extend(write(false, true)?);
        check(folder, ort)?;
    }
    Ok(left_out)
}

/// Verifies a package that was just written to a folder, and prints the results to stderr. Returns
/// why it must do without its graph for CUDA, if that alone differs too much.
fn check_all_but_cuda(folder: &Path, ort: &OrtArgs) -> Result<Option<LeftOut>, Failure> {
    let package = Package::open(folder).map_err(within(folder))?;
    let checks = recompute(&package, ort).map_err(within(folder))?;
    checks.iter().for_each(|check| note!("{}", line(check)));
    let (cuda, others): (Vec<Check>, Vec<Check>) =
        checks.into_iter().partition(|check| check.graph == GraphName::Cuda);
    judge(&others).map_err(within(folder))?;
    let graph = GraphName::Cuda;
    Ok(cuda.iter().find(|check| !check.passes()).map(|check| LeftOut {
        graph,
        reason: format!(
            "in fp16 its outputs are off by {:.1e}, more than {:.0e}",
            check.relative(),
            check.tolerance
        ),
    }))
}

fn recompute(package: &Package, ort: &OrtArgs) -> Result<Vec<Check>, Failure> {
    Ok(verify(package, &ort.runtime(), ort.check_device.unwrap_or(DeviceChoice::Cpu))?)
}

fn judge(checks: &[Check]) -> Result<(), Failure> {
    match checks.iter().find(|check| !check.passes()) {
        None => Ok(()),
        Some(check) => Err(Failure::CheckFailed(format!(
            "{}: the {} graph differs from the golden outputs by {:.1e} of their size, more than \
             {:.0e}",
            check.engine,
            check.graph,
            check.relative(),
            check.tolerance
        ))),
    }
}

fn line(check: &Check) -> String {
    let Check { engine, graph, comparison, tolerance } = check;
    let verdict = if check.passes() { "ok" } else { "FAILED" };
    let (what, difference) = match graph {
        GraphName::Portable => ("largest difference", comparison.max_abs),
        GraphName::Cuda => ("rms of the difference", comparison.rms_error),
        GraphName::Int8 => ("difference of the median row", comparison.median_row),
    };
    format!(
        "{engine:35} {graph:8} {what} {difference:.2e}, rms of the outputs {:.3}, \
         relative {:.1e}, tolerance {tolerance:.0e}: {verdict}",
        comparison.rms,
        check.relative(),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ddpm_conversion::export::extend::extend;
    use ddpm_conversion::export::read;
    use ddpm_conversion::export::variants::{Addition, cuda_variant};
    use ddpm_package::Variant;

    use super::*;

    /// Writes the embedded glyphs with a graph for CUDA of some tolerance, as a model that differs
    /// by more in fp16 would be written. Returns the graphs left out, those of the package, and
    /// what was written.
    fn written_with(tolerance: f64) -> (Vec<LeftOut>, Vec<GraphName>, Vec<(bool, bool)>) {
        let glyphs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/glyphs");
        let package = Package::open(&glyphs).unwrap();
        let network = read::network(&package.portable_graph().unwrap(), tch::Device::Cpu).unwrap();
        let (golden, path) = (package.golden().unwrap(), &package.manifest().golden);
        let Addition { bytes, variant } = cuda_variant(&network, &golden, path).unwrap().unwrap();
        let addition = Addition { bytes, variant: Variant { tolerance, ..variant } };
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("glyphs");
        let ort = OrtArgs { ort_lib: None, check_device: None };
        let calls = RefCell::new(Vec::new());
        let left_out = write_and_check(&target, (true, false), &ort, |cuda, overwrite| {
            calls.borrow_mut().push((cuda, overwrite));
            let additions = if cuda { std::slice::from_ref(&addition) } else { &[] };
            extend(&package, additions, &[], &target, overwrite).unwrap();
            Ok(Vec::new())
        })
        .unwrap();
        let graphs = Package::open(&target).unwrap().manifest().graph_names();
        (left_out, graphs, calls.into_inner())
    }

    #[test]
    fn a_package_does_without_a_graph_for_cuda_that_differs_too_much() {
        let (left_out, graphs, calls) = written_with(1e-9);
        assert_eq!(graphs, [GraphName::Portable]);
        assert_eq!(calls, [(true, false), (false, true)]);
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].graph, GraphName::Cuda);
        assert!(left_out[0].reason.ends_with("more than 1e-9"), "{left_out:?}");
    }

    #[test]
    fn a_graph_for_cuda_within_its_tolerance_stays() {
        let (left_out, graphs, calls) = written_with(0.02);
        assert_eq!(graphs, [GraphName::Portable, GraphName::Cuda]);
        assert_eq!((left_out, calls), (Vec::new(), vec![(true, false)]));
    }
}
