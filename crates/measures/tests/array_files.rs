//! Array files: the right array of an archive, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use ddpm_files::npy::{self, Array, Elements};
use ddpm_measures::read_array;

use support::archive;

fn file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    npy::write(&mut out, descr, shape, data).unwrap();
    out
}

fn read(name: &str, bytes: &[u8]) -> Result<Array, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_array(&path, &["features"]).map_err(|fault| fault.to_string())
}

#[test]
fn an_archive_yields_its_only_array_or_the_named_one() {
    let [one, two] = [1, 2].map(|byte| file("|u1", &[1], &[byte]));
    let bytes = |array: Array| array.elements;
    let only = read("a.npz", &archive(&[("x.npy", &one)])).unwrap();
    assert_eq!(bytes(only), Elements::Bytes(vec![1]));
    let named = archive(&[("x.npy", &one), ("features.npy", &two)]);
    assert_eq!(bytes(read("a.npz", &named).unwrap()), Elements::Bytes(vec![2]));
    let neither = read("a.npz", &archive(&[("x.npy", &one), ("y.npy", &two)])).unwrap_err();
    assert!(neither.contains("x.npy") && neither.contains("features"), "{neither}");
}

#[test]
fn anything_but_an_array_or_archive_is_refused_with_the_reason() {
    assert!(read("a.npy", b"text, not an array").unwrap_err().contains("not a NumPy array"));
    assert!(read("a.npz", b"text, not an archive").unwrap_err().contains("not an .npz archive"));
    let short = archive(&[("x.npy", &file("<f4", &[3], &[0; 8]))]);
    let refused = read("a.npz", &short).unwrap_err();
    assert!(refused.contains("\"x.npy\" has fewer data"), "{refused}");
}
