//! Promises of the reader about packages that were damaged or changed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ddpm_diffusion::samplers::{Ddim, Ddpm};
use ddpm_diffusion::{BetaSchedule, GridSpec, Prediction, Schedule, Variance};
use ddpm_package::{
    DefaultSampler, Error, Golden, GraphName, Graphs, Kind, MANIFEST_FILE, Manifest, Package,
    PackageWriter, PathFault, Quality, ScheduleSpec, Variant,
};
use tempfile::TempDir;

fn manifest() -> Manifest {
    let schedule = Schedule::linear(10, 1e-3, 0.2).unwrap();
    Manifest {
        manifest_version: Manifest::VERSION.into(),
        name: "points".into(),
        version: "1.0.0".into(),
        kind: Kind::Points2d,
        sample_shape: vec![2],
        schedule: ScheduleSpec::named(BetaSchedule::Linear, 1e-3, 0.2, &schedule),
        prediction: Prediction::Eps,
        variance: Variance::FixedLarge,
        classes: vec![],
        default_sampler: DefaultSampler {
            sampler: Ddpm { variance: None }.into(),
            num_steps: 10,
            grid: GridSpec::Trailing,
        },
        graphs: Graphs { portable: "unet/model.onnx".into() },
        variants: Vec::new(),
        golden: "testdata/golden.safetensors".into(),
        files: vec![],
    }
}

fn golden() -> Golden {
    Golden {
        count: 2,
        sample: vec![0.0, 1.0, 2.0, 3.0],
        timestep: vec![0.0, 9.0],
        class_labels: None,
        out_sample: vec![0.5, -0.5, 1.0, -1.0],
    }
}

fn write(target: &Path, overwrite: bool) -> Result<(), Error> {
    let mut writer = PackageWriter::new(target, overwrite)?;
    writer.add("unet/model.onnx", b"a graph")?;
    writer.add("testdata/golden.safetensors", &golden().to_safetensors(&manifest())?)?;
    writer.finish(manifest()).map(|_| ())
}

fn package() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("points");
    write(&target, false).unwrap();
    (folder, target)
}

/// Edits the text of a package's manifest.
fn edit(target: &Path, change: impl Fn(String) -> String) {
    let path = target.join(MANIFEST_FILE);
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

#[test]
fn what_was_written_is_read_back() {
    let (_folder, target) = package();
    let package = Package::open(&target).unwrap();
    assert_eq!(package.portable_graph().unwrap().as_ref(), b"a graph");
    assert_eq!(package.golden().unwrap(), golden());
    assert_eq!(package.manifest().schedule.betas, manifest().schedule.betas);
}

#[test]
fn the_same_model_has_the_same_digest_wherever_it_lies() {
    let (_a, a) = package();
    let (_b, b) = package();
    assert_eq!(Package::open(&a).unwrap().digest(), Package::open(&b).unwrap().digest());
}

#[test]
fn nothing_but_the_package_is_left_behind() {
    let (folder, target) = package();
    write(&target, true).unwrap();
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["points"]);
}

#[test]
fn an_unfinished_package_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = PackageWriter::new(&folder.path().join("points"), false).unwrap();
    writer.add("unet/model.onnx", b"a graph").unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_existing_folder_is_not_overwritten() {
    let (folder, target) = package();
    assert!(matches!(write(&target, false), Err(Error::Exists(_))));
    let precious = folder.path().join("precious");
    fs::create_dir(&precious).unwrap();
    assert!(matches!(write(&precious, true), Err(Error::Occupied(_))));
}

#[test]
fn a_changed_file_is_refused_with_both_digests() {
    let (_folder, target) = package();
    fs::write(target.join("unet/model.onnx"), b"A graph").unwrap();
    let error = Package::open(&target).unwrap_err().to_string();
    let start = format!("{}: unet/model.onnx: its SHA-256 is ", target.display());
    assert!(error.starts_with(&start), "{error}");
    assert!(error.ends_with("copy the package again"), "{error}");
}

#[test]
fn a_truncated_file_is_refused_with_both_sizes() {
    let (_folder, target) = package();
    fs::write(target.join("unet/model.onnx"), b"a gr").unwrap();
    let error = Package::open(&target).unwrap_err().to_string();
    assert!(error.contains("it has 4 bytes instead of 7"), "{error}");
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let (_folder, target) = package();
    fs::remove_file(target.join("unet/model.onnx")).unwrap();
    let error = Package::open(&target).unwrap_err().to_string();
    let start = format!("{}: unet/model.onnx: it is missing", target.display());
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn paths_that_leave_the_package_are_refused() {
    let faults = [("../model.onnx", PathFault::Leaves), ("/etc/passwd", PathFault::NotRelative)];
    for (path, want) in faults {
        let (_folder, target) = package();
        edit(&target, |json| json.replace("unet/model.onnx", path));
        match Package::open(&target) {
            Err(Error::Path { fault, .. }) => assert_eq!(fault, want),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn links_are_refused_even_if_they_lead_to_the_right_bytes() {
    let (folder, target) = package();
    let elsewhere = folder.path().join("model.onnx");
    fs::rename(target.join("unet/model.onnx"), &elsewhere).unwrap();
    symlink(&elsewhere, target.join("unet/model.onnx")).unwrap();
    let error = Package::open(&target).unwrap_err();
    assert!(matches!(error, Error::Path { fault: PathFault::Link, .. }), "{error}");
}

#[test]
fn a_folder_without_a_manifest_is_not_a_package() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Package::open(folder.path()), Err(Error::NotAPackage(_))));
    assert!(matches!(Package::open(&folder.path().join("nowhere")), Err(Error::Io { .. })));
}

#[test]
fn broken_json_is_refused_with_its_place() {
    let (_folder, target) = package();
    edit(&target, |json| json[..json.len() / 2].into());
    let error = Package::open(&target).unwrap_err().to_string();
    assert!(error.contains("cannot be read") && error.contains("line"), "{error}");
}

#[test]
fn an_unknown_major_version_is_refused_and_unknown_keys_are_not() {
    let (_folder, target) = package();
    edit(&target, |json| json.replace("\"1.0\"", "\"1.7\"").replacen('{', "{\"new\": 1,", 1));
    assert!(Package::open(&target).is_ok());
    edit(&target, |json| json.replace("\"1.7\"", "\"2.0\""));
    let error = Package::open(&target).unwrap_err().to_string();
    assert!(error.contains("manifest version 2.0 needs a newer ddpm"), "{error}");
}

#[test]
fn numbers_out_of_range_are_refused_by_field() {
    type Damage = fn(&mut Manifest);
    let cases: [(Damage, &str); 6] = [
        (|m| m.name = "Not a name".into(), "name must be"),
        (|m| m.sample_shape = vec![3, 8], "sample_shape"),
        (|m| m.schedule.betas[3] = 7.0, "beta must be in (0, 1], got 7 at t = 3"),
        (|m| m.default_sampler.num_steps = 11, "num_steps must be in 1..=10, got 11"),
        (
            |m| {
                m.default_sampler.sampler = Ddim { eta: 2.0, ..Ddim::DEFAULT }.into();
            },
            "eta: must be",
        ),
        (|m| m.schedule.betas[9] = 1.0, "needs a network that predicts v or x_0"),
    ];
    for (change, want) in cases {
        let mut manifest = manifest();
        change(&mut manifest);
        let error = manifest.check().unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn golden_outputs_that_prove_nothing_are_refused() {
    let mut tiny = golden();
    tiny.out_sample = vec![1e-4; 4];
    let error = tiny.to_safetensors(&manifest()).unwrap_err().to_string();
    assert!(error.contains("any graph would pass"), "{error}");
    let mut infinite = golden();
    infinite.out_sample[0] = f32::NAN;
    assert!(infinite.to_safetensors(&manifest()).is_err());
}

#[test]
fn outputs_that_are_not_numbers_are_infinitely_far() {
    let mut outputs = golden().out_sample;
    assert_eq!(golden().compare(&outputs).max_abs, 0.0);
    outputs[2] = f32::NAN;
    assert_eq!(golden().compare(&outputs).max_abs, f64::INFINITY);
}

#[test]
fn an_int8_graph_is_judged_by_its_median_row_and_others_by_all_that_differs() {
    let rows = 5;
    let golden = Golden { count: rows, out_sample: vec![2.0; 4 * rows], ..golden() };
    let off = |wrong: usize, by: f32| {
        let mut outputs = golden.out_sample.clone();
        outputs[..4 * wrong].iter_mut().for_each(|value| *value += by);
        golden.compare(&outputs)
    };
    assert_eq!(off(2, 20.0).relative(GraphName::Int8), 0.0);
    assert!(off(2, 20.0).relative(GraphName::Cuda) > 5.0);
    assert!((off(3, 0.2).relative(GraphName::Int8) - 0.1).abs() < 1e-6);
    assert!((off(1, 0.2).relative(GraphName::Portable) - 0.1).abs() < 1e-6);
}

/// Returns an int8 graph's entry in a manifest, as good as it may be.
fn int8() -> Variant {
    Variant {
        graph: "int8".into(),
        path: "unet/model.int8.onnx".into(),
        precision: "int8".into(),
        provider: "cpu".into(),
        golden: "testdata/golden.safetensors".into(),
        tolerance: 0.05,
        quality: None,
    }
}

fn with_variants(variants: Vec<Variant>) -> Result<Package, Error> {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("points");
    let mut writer = PackageWriter::new(&target, false)?;
    writer.add("unet/model.onnx", b"a graph")?;
    writer.add("unet/model.int8.onnx", b"another")?;
    writer.add("testdata/golden.safetensors", &golden().to_safetensors(&manifest())?)?;
    writer.finish(Manifest { variants, ..manifest() })?;
    let package = Package::open(&target)?;
    assert_eq!(package.graph(GraphName::Int8).unwrap().as_ref(), b"another");
    Ok(package)
}

#[test]
fn graphs_are_listed_and_read_by_name() {
    let package = with_variants(vec![int8()]).unwrap();
    assert_eq!(package.manifest().manifest_version, "1.1");
    assert_eq!(package.manifest().graph_names(), [GraphName::Portable, GraphName::Int8]);
    assert_eq!(package.tolerance_of(GraphName::Int8, "cpu").unwrap(), 0.05);
    assert_eq!(package.tolerance_of(GraphName::Portable, "cpu").unwrap(), 1e-4);
    assert_eq!(package.tolerance_of(GraphName::Portable, "cuda").unwrap(), 1e-3);
    let missing = package.tolerance_of(GraphName::Cuda, "cuda").unwrap_err().to_string();
    assert!(missing.contains("no graph cuda, only portable, int8"), "{missing}");
}

#[test]
fn a_graph_of_a_name_that_is_not_known_is_passed_over() {
    let later = Variant { graph: "fp8".into(), tolerance: 7.0, ..int8() };
    let package = with_variants(vec![later, int8()]).unwrap();
    assert_eq!(package.manifest().graph_names(), [GraphName::Portable, GraphName::Int8]);
}

#[test]
fn a_package_without_more_graphs_is_of_the_first_version() {
    let (_folder, target) = package();
    let text = fs::read_to_string(target.join(MANIFEST_FILE)).unwrap();
    assert!(text.contains("\"manifest_version\": \"1.0\"") && !text.contains("variants"), "{text}");
}

#[test]
fn entries_of_graphs_that_prove_nothing_are_refused() {
    let quality = |passed, upper| Quality {
        frechet_ratio: 1.0,
        upper,
        limit: 1.05,
        passed,
        samples: 100,
        sampler: "ddim".into(),
        extractor: "small".into(),
        relative_error: 0.1,
    };
    let fine = [(true, 1.05), (false, 1.051)];
    for (passed, upper) in fine {
        let marked = Variant { quality: Some(quality(passed, upper)), ..int8() };
        assert!(with_variants(vec![marked]).is_ok(), "{passed} {upper}");
    }
    let wrong = [
        (Variant { tolerance: 0.31, ..int8() }, "at most 0.3"),
        (Variant { tolerance: 0.0, ..int8() }, "above 0"),
        (Variant { tolerance: f64::NAN, ..int8() }, "tolerance"),
        (Variant { provider: "cuda".into(), ..int8() }, "provider"),
        (Variant { precision: "fp32".into(), ..int8() }, "precision"),
        (Variant { graph: "portable".into(), ..int8() }, "twice"),
        (Variant { path: "unet/elsewhere.onnx".into(), ..int8() }, "not among its files"),
        (Variant { golden: "elsewhere".into(), ..int8() }, "not among its files"),
        (Variant { quality: Some(quality(true, 1.06)), ..int8() }, "marked as passed"),
        (Variant { quality: Some(quality(false, 1.0)), ..int8() }, "marked as failed"),
    ];
    for (variant, reason) in wrong {
        let error = with_variants(vec![variant]).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert!(with_variants(vec![int8(), int8()]).unwrap_err().to_string().contains("twice"));
}
