//! `inspect`: describes what a path holds.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_conversion::export::read::{ReadError, model_config};
use ddpm_graph::format::{ModelProto, OperatorSetIdProto, TensorProto, ValueInfoProto};
use ddpm_network::Network;
use ddpm_package::{MANIFEST_FILE, Manifest, Package, Sha256Hex};
use ddpm_training::{Checkpoint, TrainConfig, TrainError};
use prost::Message;
use serde_json::{Value, json};

use super::output::{out, print_text};
use super::{Failure, within};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A run, a checkpoint, a package or an ONNX file.
    path: PathBuf,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let found = if self.path.is_file() {
            onnx_file(&self.path)?
        } else if self.path.join(MANIFEST_FILE).is_file() {
            let found = Package::open(&self.path).map_err(within(&self.path))?;
            package(&found).map_err(within(&self.path))?
        } else {
            let found = Checkpoint::find(&self.path)?;
            checkpoint(&found).map_err(within(found.folder()))?
        };
        if self.json {
            out!("{found:#}")
        } else {
            let mut lines = String::new();
            add_lines(&mut lines, "", &found);
            print_text(&lines)
        }
    }
}

fn onnx_file(path: &Path) -> Result<Value, Failure> {
    let bytes = fs::read(path).map_err(|cause| {
        Failure::Refused(format!("{}: cannot be read: {cause}", path.display()).into())
    })?;
    let model = ModelProto::decode(&bytes[..]).map_err(ReadError::from).map_err(within(path))?;
    Ok(json!({ "what": "ONNX file", "sha256": Sha256Hex::of(&bytes), "graph": graph(&model) }))
}

fn package(package: &Package) -> Result<Value, Failure> {
    let model = ModelProto::decode(&package.portable_graph()?[..]).map_err(ReadError::from)?;
    let golden = package.golden()?;
    Ok(json!({
        "what": "model package",
        "digest": package.digest(),
        "manifest": without_betas(package.manifest()),
        "golden_rows": golden.count,
        "graph": graph(&model),
    }))
}

/// Replaces the T betas, which would bury the rest, by their number.
fn without_betas(manifest: &Manifest) -> Value {
    let mut manifest = json!(manifest);
    let timesteps = manifest["schedule"]["betas"].as_array().map(Vec::len);
    manifest["schedule"]["betas"] = json!(format!("{} numbers", timesteps.unwrap_or(0)));
    manifest
}

fn graph(model: &ModelProto) -> Value {
    let graph = model.graph.clone().unwrap_or_default();
    let elements = |tensor: &TensorProto| tensor.dims.iter().product::<i64>();
    json!({
        "producer": format!("{} {}", model.producer_name(), model.producer_version()),
        "opset": model.opset_import.iter().map(OperatorSetIdProto::version).collect::<Vec<_>>(),
        "inputs": graph.input.iter().map(ValueInfoProto::name).collect::<Vec<_>>(),
        "outputs": graph.output.iter().map(ValueInfoProto::name).collect::<Vec<_>>(),
        "nodes": graph.node.len(),
        "elements": graph.initializer.iter().map(elements).sum::<i64>(),
        "model": model_config(model).ok(),
    })
}

fn checkpoint(checkpoint: &Checkpoint) -> Result<Value, Failure> {
    let state = checkpoint.state();
    Ok(json!({
        "what": "checkpoint",
        "folder": checkpoint.folder(),
        "steps_done": state.steps_done,
        "loss": state.loss,
        "parameters": parameters(&state.config)?,
        "config": state.config,
    }))
}

fn parameters(config: &TrainConfig) -> Result<usize, TrainError> {
    let network = Network::new(&tch::nn::VarStore::new(tch::Device::Cpu).root(), &config.model)?;
    Ok(network.parameters().iter().map(|(_, tensor)| tensor.numel()).sum())
}

/// Adds a line per leaf: its dotted path, and its value.
fn add_lines(lines: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                add_lines(lines, &path, value);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.iter().enumerate() {
                add_lines(lines, &format!("{path}.{i}"), item);
            }
        }
        Value::Null => {}
        Value::String(text) => *lines += &format!("{path:34} {text}\n"),
        other => *lines += &format!("{path:34} {other}\n"),
    }
}
