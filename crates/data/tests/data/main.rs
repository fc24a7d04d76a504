//! Data sets from files: real digits, records made here, and pictures that other programs wrote.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking, like the tests")]

mod archive;
mod celeba;
mod cifar10;
mod content;
mod entries;
mod folder;
mod idx;
mod label_columns;
mod labelling;
mod lsun;
mod modes;
mod places;
mod support;
mod tables;
mod tiff;
mod toy;

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_data::{
    DataError, Dataset, ItemShape, LabelSource, LoadOptions, OnBroken, Source, Split, ToyKind, load,
};
use flate2::read::GzDecoder;
use image::{ImageReader, RgbImage};
use tempfile::{TempDir, tempdir};

use support::{pixel, skipping};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn test_split() -> LoadOptions {
    LoadOptions { split: Split::Test, ..Default::default() }
}

fn sized(size: usize) -> LoadOptions {
    LoadOptions { image_size: Some(size), ..Default::default() }
}

/// The error with its cause, as a user sees it.
fn refusal(source: &Source, options: &LoadOptions) -> String {
    let error = load(source, options).expect_err("this data set should be refused");
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    error.to_string() + &cause.unwrap_or_default()
}

fn histogram(set: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; set.class_names().unwrap().len()];
    (0..set.len()).for_each(|i| counts[set.label(i).unwrap()] += 1);
    counts
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Creates a folder with copies of fixtures: (name there, fixture).
fn folder_of(files: &[(&str, &str)]) -> TempDir {
    support::copies(&fixture("data"), files)
}

fn grey(size: usize) -> LoadOptions {
    LoadOptions { greyscale: true, ..sized(size) }
}

fn is_close(got: [u8; 3], expected: [u8; 3]) -> bool {
    got.iter().zip(expected).all(|(&got, expected)| got.abs_diff(expected) <= 4)
}
