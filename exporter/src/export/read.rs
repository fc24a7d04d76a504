//! The way back: a graph that this exporter wrote becomes a network again.
//!
//! Parameters keep their names in the graph, and its metadata says what the network is made from.
//! So a package alone is enough to recompute it in libtorch, and holds its weights once.

use prost::Message;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::onnx::{DataType, ModelProto, TensorProto};
use super::package::MODEL_CONFIG_KEY;
use crate::model::{ConfigError, ModelConfig, Network, StateError};

/// Why a graph is no network.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are no ONNX file.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// It is another program's graph, or was changed.
    #[error("the graph was not written by this exporter: {0}")]
    Foreign(String),
    /// The settings in its metadata make no network.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its parameters are not those of its settings.
    #[error(transparent)]
    State(#[from] StateError),
    /// libtorch could not take the parameters over.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}

/// The network that a graph was made from, on `device`.
///
/// # Errors
///
/// [`ReadError`] for a file that is not ONNX, or not of this exporter.
pub fn network(onnx: &[u8], device: Device) -> Result<Network, ReadError> {
    let model = ModelProto::decode(onnx)?;
    let config = model_config(&model)?;
    let network = Network::new(&nn::VarStore::new(device).root(), &config)?;
    let graph = model.graph.unwrap_or_default();
    let parameters = network.parameters();
    let wanted = |tensor: &&TensorProto| parameters.iter().any(|(name, _)| name == tensor.name());
    let state: Vec<(String, Tensor)> =
        graph.initializer.iter().filter(wanted).map(tensor).collect::<Result<_, _>>()?;
    network.load_state(&state)?;
    Ok(network)
}

/// What the network is made from, by the graph's metadata.
///
/// # Errors
///
/// [`ReadError::Foreign`] if the metadata does not say.
pub fn model_config(model: &ModelProto) -> Result<ModelConfig, ReadError> {
    let entry = model.metadata_props.iter().find(|entry| entry.key() == MODEL_CONFIG_KEY);
    let entry = entry
        .ok_or_else(|| ReadError::Foreign(format!("its metadata lacks {MODEL_CONFIG_KEY}")))?;
    serde_json::from_str(entry.value()).map_err(|error| ReadError::Foreign(error.to_string()))
}

fn tensor(proto: &TensorProto) -> Result<(String, Tensor), ReadError> {
    let name = proto.name().to_owned();
    let bytes = proto.raw_data();
    let len = proto.dims.iter().product::<i64>();
    if proto.data_type != Some(DataType::Float.into()) || bytes.len() as i64 != 4 * len {
        return Err(ReadError::Foreign(format!("{name} is not f32, or cut short")));
    }
    Ok((name, Tensor::f_from_data_size(bytes, &proto.dims, Kind::Float)?))
}
