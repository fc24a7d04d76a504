//! The two models in the binary, so that a server without arguments can serve.
//!
//! `make models` retrains them; see `models/README.md`.

use ddpm_package::{Error, Package};

/// A package's files, as (path, bytes).
macro_rules! files {
    ($name:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../models/", $name, "/", $path)))),+]
    };
}

/// A 2-D toy: points from eight Gaussians on a circle.
static TOY: &[(&str, &[u8])] =
    files!("toy": "ddpm.json", "unet/model.onnx", "testdata/golden.safetensors");

/// Procedurally drawn digits and shapes, 16 × 16 in colour, class-conditional.
static GLYPHS: &[(&str, &[u8])] =
    files!("glyphs": "ddpm.json", "unet/model.onnx", "testdata/golden.safetensors");

/// Opens the embedded packages, verified like any other.
///
/// # Errors
///
/// If a package does not match its manifest.
pub(crate) fn packages() -> Result<Vec<Package>, Error> {
    Ok(vec![Package::embedded("toy", TOY)?, Package::embedded("glyphs", GLYPHS)?])
}
