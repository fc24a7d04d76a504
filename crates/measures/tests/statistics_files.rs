//! Statistics files: ours, NumPy's, and damaged ones.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_measures::{Error, Gaussian, StatisticsFile};
use tempfile::TempDir;

use support::archive;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

fn statistics() -> StatisticsFile {
    let gaussian = Gaussian::new(vec![1.0, -0.1], vec![2.0, 1.0 / 3.0, 1.0 / 3.0, 0.5]).unwrap();
    StatisticsFile { gaussian, count: Some(50_000), digest: Some("sha256:å, pool3".into()) }
}

#[test]
fn files_read_back_to_the_bit_and_equal_statistics_give_equal_files() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one.npz"), folder.path().join("two.npz"));
    for statistics in [statistics(), StatisticsFile { count: None, digest: None, ..statistics() }] {
        statistics.write(&one).unwrap();
        statistics.write(&two).unwrap();
        assert_eq!(StatisticsFile::read(&one).unwrap(), statistics);
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    }
    assert!(StatisticsFile::is_at(&one).unwrap());
    // No temporary file is left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn numpys_files_are_read_stored_and_deflated_in_f64_and_f32() {
    let stored = StatisticsFile::read(&fixture("stored_f64.npz")).unwrap();
    let deflated = StatisticsFile::read(&fixture("deflated_f32.npz")).unwrap();
    assert_eq!((stored.gaussian.dim(), stored.count, &stored.digest), (6, None, &None));
    // The first mean in ddpm-torch's metrics.json; NumPy sums in another order.
    assert!((stored.gaussian.mean()[0] - 0.365_515_153_259_038_9).abs() < 1e-15);
    let numbers =
        |file: &StatisticsFile| [file.gaussian.mean(), file.gaussian.covariance()].concat();
    for (exact, rounded) in numbers(&stored).into_iter().zip(numbers(&deflated)) {
        assert_eq!(f64::from(exact as f32), rounded);
    }
}

/// Builds an array in NumPy's format.
fn array(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn floats(shape: &str, values: &[f64]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
    array(&header, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// Returns why a file of these bytes is refused.
fn refusal(bytes: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("statistics.npz");
    fs::write(&path, bytes).unwrap();
    let fault = StatisticsFile::read(&path).unwrap_err();
    assert!(matches!(fault, Error::File { .. }), "{fault}");
    let message = fault.to_string();
    assert!(message.starts_with(&*path.to_string_lossy()), "{message}");
    message
}

#[test]
fn faults_in_a_file_are_named() {
    let mu = floats("(2,)", &[0.0, 0.0]);
    let sigma = floats("(2, 2)", &[1.0, 0.0, 0.0, 1.0]);
    let refusal_of =
        |mu: &[u8], sigma: &[u8]| refusal(&archive(&[("mu.npy", mu), ("sigma.npy", sigma)]));

    assert!(refusal(b"mu and sigma").contains("is not an .npz archive"));
    assert!(refusal(&archive(&[("m.npy", &mu)])).contains("has no mu.npy, only [\"m.npy\"]"));
    assert!(refusal(&archive(&[("mu.npy", &mu)])).contains("has no sigma.npy"));
    assert!(refusal_of(b"text", &sigma).contains("array \"mu\""));
    assert!(refusal_of(&floats("(2, 1)", &[0.0, 0.0]), &sigma).contains("must have 1 axes"));
    assert!(
        refusal_of(&floats("(3,)", &[0.0; 3]), &sigma).contains("sigma must be 3 x 3, is [2, 2]")
    );
    assert!(refusal_of(&floats("(20000000,)", &[0.0]), &sigma).contains("20000000"));
    assert!(refusal_of(&floats("(2,)", &[0.0]), &sigma).contains("fewer data"));
    assert!(refusal_of(&floats("(2,)", &[0.0, f64::NAN]), &sigma).contains("mean 1 is NaN"));
    let skewed = floats("(2, 2)", &[1.0, 0.5, 0.0, 1.0]);
    assert!(refusal_of(&mu, &skewed).contains("not symmetric"));
    let integers = array("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", &[0; 16]);
    assert!(refusal_of(&integers, &sigma).contains("type \"<i8\", must be <f8 or <f4"));
}

#[test]
fn a_damaged_file_is_refused_by_its_checksum() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("statistics.npz");
    statistics().write(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|word| word == 1.0_f64.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    assert!(refusal(&bytes).contains("mu"));
    bytes.truncate(bytes.len() / 2);
    refusal(&bytes);
}

#[test]
fn a_file_without_mu_and_sigma_is_not_a_statistics_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("features.npz");
    for bytes in [archive(&[("mu.npy", b"")]), b"text".to_vec()] {
        fs::write(&path, bytes).unwrap();
        assert!(!StatisticsFile::is_at(&path).unwrap());
    }
    assert!(StatisticsFile::is_at(&fixture("stored_f64.npz")).unwrap());
}

#[test]
fn a_missing_file_and_a_missing_folder_are_named() {
    let path = Path::new("no/such/folder/statistics.npz");
    for fault in [StatisticsFile::read(path).unwrap_err(), statistics().write(path).unwrap_err()] {
        assert!(
            matches!(fault, Error::Io { .. }) && fault.to_string().contains("no/such"),
            "{fault}"
        );
    }
}
