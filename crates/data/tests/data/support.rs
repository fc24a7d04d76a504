//! Folders, options and pixels of data sets, for the tests of this crate and of the command line.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;

use ddpm_data::{Dataset, ItemShape, LoadOptions, OnBroken};
use tempfile::{TempDir, tempdir};

/// Makes a folder with copies of files in `originals`: (name there, original).
pub(crate) fn copies(originals: &Path, files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, original) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(originals.join(original), path).unwrap();
    }
    dir
}

/// Leaves broken pictures out and brings the others to a square of `size` pixels.
pub(crate) fn skipping(size: usize) -> LoadOptions {
    LoadOptions { on_broken: OnBroken::Skip, image_size: Some(size), ..LoadOptions::default() }
}

/// RGB of one pixel of picture `i`.
pub(crate) fn pixel(set: &Dataset, i: usize, x: usize, y: usize) -> [u8; 3] {
    let ItemShape::Images { height, width, .. } = set.kind() else { panic!("these are pictures") };
    let pixels = set.pixels(i).unwrap();
    [0, 1, 2].map(|channel| pixels[(channel * height + y) * width + x])
}
