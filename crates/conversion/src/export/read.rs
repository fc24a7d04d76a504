//! Reads a graph written here back into a network.
//!
//! Parameters keep their names in the graph, and its metadata holds the settings of the network. So
//! a package alone is enough to recompute it in libtorch, and holds its weights once.

use ddpm_graph::format::{DataType, ModelProto, TensorProto};
use ddpm_network::{ConfigError, ModelConfig, Network, StateError};
use prost::Message;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::graph::MODEL_CONFIG_KEY;

/// The reason why a graph does not become a network.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not an ONNX file.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// Another program wrote the graph, or changed it.
    #[error("the graph was not written by this exporter: {0}")]
    Foreign(String),
    /// The settings in its metadata are not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its parameters do not fit its settings.
    #[error(transparent)]
    State(#[from] StateError),
    /// libtorch cannot copy the parameters.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}

/// Reads a graph back into a network on `device`.
///
/// # Errors
///
/// [`ReadError`] for a file that is not ONNX, or was not written here.
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

/// Returns the settings of the network, from the graph's metadata.
///
/// # Errors
///
/// [`ReadError::Foreign`] if the metadata lacks them.
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
