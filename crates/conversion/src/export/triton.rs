//! A package's graph as a model of NVIDIA's Triton server.
//!
//! ```text
//! REPOSITORY/
//!   NAME/
//!     config.pbtxt    inputs, outputs and batching
//!     1/model.onnx    the portable graph
//! ```
//!
//! Triton evaluates the network; its caller samples, with one call per step. Triton adds the batch
//! axis itself and needs at least one more, so `timestep` and `class_labels` are declared with one
//! axis and reshaped to none.
//!
//! # Source
//!
//! "Model Configuration" in the user guide,
//! <https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/>

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ddpm_files::{WholeFolder, folder_of, follow};
use ddpm_package::{Manifest, Package};

use super::ExportError;

/// Rows that Triton may put into one batch.
const MAX_BATCH: usize = 64;
const CONFIG: &str = "config.pbtxt";

/// Writes a model into a repository, whole or not at all, and returns its folder.
///
/// * `repository`: created if it is missing; its other models stay.
/// * `overwrite`: whether to replace a model of that name.
///
/// # Errors
///
/// [`ExportError::Package`] if the package is damaged or the folder exists and is not replaced;
/// [`ExportError::Write`] if the operating system refuses.
pub fn write(
    package: &Package,
    repository: &Path,
    overwrite: bool,
) -> Result<PathBuf, ExportError> {
    let manifest = package.manifest();
    let target = repository.join(&manifest.name);
    let unwritable = |cause| ExportError::Write { path: target.clone(), cause };
    let target = follow(&target).map_err(unwritable)?;
    let is_model = target.join(CONFIG).is_file();
    if fs::symlink_metadata(&target).is_ok() && !(overwrite && is_model) {
        return Err(ddpm_package::Error::Exists(target).into());
    }
    let graph = package.portable_graph()?;
    let config = config(manifest, package.digest().as_str());
    replace(&target, config.as_bytes(), &graph)
        .map_err(|cause| ExportError::Write { path: target.clone(), cause })?;
    Ok(target)
}

fn replace(target: &Path, config: &[u8], graph: &[u8]) -> io::Result<()> {
    let parent = folder_of(target);
    fs::create_dir_all(parent)?;
    let folder = WholeFolder::create_in(parent, ".triton-")?;
    folder.add(CONFIG, config)?;
    folder.add("1/model.onnx", graph)?;
    folder.put(target, true)
}

/// Returns `config.pbtxt`, in the text format of protocol buffers.
fn config(manifest: &Manifest, digest: &str) -> String {
    let shape: Vec<i64> = manifest.sample_shape.iter().map(|&extent| extent as i64).collect();
    let mut output = shape.clone();
    output[0] *= (manifest.output_len() / manifest.sample_len()) as i64;
    let mut text = format!(
        "# Model {digest}\n\
         name: \"{name}\"\n\
         platform: \"onnxruntime_onnx\"\n\
         max_batch_size: {MAX_BATCH}\n",
        name = manifest.name
    );
    let tensor = |what: &str, name: &str, kind: &str, dims: &str| {
        format!("{what} {{\n  name: \"{name}\"\n  data_type: {kind}\n  dims: [{dims}]\n")
    };
    let list = |dims: &[i64]| dims.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let scalar =
        |name: &str, kind: &str| tensor("input", name, kind, "1") + "  reshape { shape: [] }\n}\n";
    text += &(tensor("input", "sample", "TYPE_FP32", &list(&shape)) + "}\n");
    text += &scalar("timestep", "TYPE_FP32");
    if !manifest.classes.is_empty() {
        text += &scalar("class_labels", "TYPE_INT64");
    }
    text += &(tensor("output", "out_sample", "TYPE_FP32", &list(&output)) + "}\n");
    text += "dynamic_batching {}\n";
    for (key, value) in [("ddpm_digest", digest), ("ddpm_version", &manifest.version)] {
        let value = escaped(value);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "parameters {{\n  key: \"{key}\"\n  value {{ string_value: \"{value}\" }}\n}}\n"
        );
    }
    text
}

/// Escapes a string; versions are free text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
