//! Writes a network as an ONNX file.
//!
//! Every graph of a network has the same interface: inputs `sample` `[batch, …]`, `timestep`
//! `[batch]` (f32, real-valued) and, if conditional, `class_labels` `[batch]` (int64); output
//! `out_sample`. The batch size is free. Parameters keep their names.

use ddpm_network::{Inputs, Network};
use prost::Message;
use tch::{Device, Kind, Tensor};

use super::onnx::{
    DataType, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use super::trace::{Trace, Value};

/// Version of the operators: current runtimes support it, and the graph needs no newer one.
const OPSET: i64 = 21;

/// Version of the file format that came with [`OPSET`].
const IR_VERSION: i64 = 10;

/// The producer named in the graphs.
const PRODUCER: &str = "ddpm-exporter";

/// Key of the network's settings in the metadata of the graph.
pub const MODEL_CONFIG_KEY: &str = "ddpm.model_config";

/// Protobuf's limit for one message.
const MAX_BYTES: usize = i32::MAX as usize;

/// The reason why a network cannot be written as a graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// Training diverged, or a checkpoint is damaged.
    #[error(
        "parameter {name} holds {count} values that are infinite or not a number: export an \
         earlier checkpoint"
    )]
    NotFinite {
        /// The parameter.
        name: String,
        /// Number of such values.
        count: usize,
    },
    /// The portable graph is f32 throughout.
    #[error(
        "parameter {name} is {kind:?}, but a portable graph needs f32: convert the network first"
    )]
    NotFloat {
        /// The parameter.
        name: String,
        /// Its type.
        kind: Kind,
    },
    /// The format puts all parameters into one message.
    #[error(
        "the graph takes {bytes} bytes, above the {MAX_BYTES} of an ONNX file: use a smaller \
         network"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// libtorch cannot read the values.
    #[error("cannot read the parameters")]
    Torch(#[from] tch::TchError),
}

/// Writes the portable graph: f32, NCHW, opset 21, ONNX's own operators only.
///
/// * `metadata`: the file's key-value pairs.
///
/// # Errors
///
/// [`GraphError`] if a parameter is not finite or not f32, or the file would exceed 2 GB.
pub fn portable(network: &Network, metadata: &[(&str, String)]) -> Result<Vec<u8>, GraphError> {
    encode(graph(network)?, metadata)
}

/// Writes a graph from pictures to features, as portable as those of [`portable`]: input
/// `pictures`, output `features`.
///
/// * `shape`: `[C, H, W]` of a picture.
/// * `network`: computes the features of the pictures.
///
/// # Errors
///
/// As [`portable`].
pub fn feature_graph(
    shape: [i64; 3],
    network: impl FnOnce(&Trace, &Value) -> Value,
) -> Result<Vec<u8>, GraphError> {
    let trace = Trace::default();
    let features = network(&trace, &Value::new("pictures", &shape));
    let input = vec![info("pictures", DataType::Float, &shape)];
    let output = (&features, info("features", DataType::Float, &features.shape));
    encode(assemble("extractor", trace, input, output)?, &[])
}

fn encode(graph: GraphProto, metadata: &[(&str, String)]) -> Result<Vec<u8>, GraphError> {
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(PRODUCER.to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(OPSET),
        }],
        metadata_props: metadata.iter().map(|(key, value)| entry(key, value)).collect(),
    };
    let bytes = model.encoded_len();
    if bytes > MAX_BYTES {
        return Err(GraphError::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

fn graph(network: &Network) -> Result<GraphProto, GraphError> {
    let (config, trace) = (network.config(), Trace::default());
    let (sample, out_sample) = (config.sample_shape(), config.output_shape());
    let labelled = config.num_classes().is_some();

    let inputs = Inputs {
        sample: Value::new("sample", &sample),
        timestep: Value::new("timestep", &[]),
        class_labels: labelled.then(|| Value::new("class_labels", &[])),
    };
    let result = network.forward(&trace, &inputs);

    let mut input =
        vec![info("sample", DataType::Float, &sample), info("timestep", DataType::Float, &[])];
    input.extend(labelled.then(|| info("class_labels", DataType::Int64, &[])));
    let output = (&result, info("out_sample", DataType::Float, &out_sample));
    assemble("denoiser", trace, input, output)
}

/// Makes a graph of a recording, its inputs and its output.
fn assemble(
    name: &str,
    trace: Trace,
    input: Vec<ValueInfoProto>,
    (result, output): (&Value, ValueInfoProto),
) -> Result<GraphProto, GraphError> {
    let mut recorded = trace.into_recorded();
    recorded.nodes.push(name_result(result, output.name()));
    let mut initializer = recorded.constants;
    for (name, value) in &recorded.parameters {
        initializer.push(initializer_of(name, value)?);
    }
    Ok(GraphProto {
        node: recorded.nodes,
        name: Some(name.to_owned()),
        initializer,
        input,
        output: vec![output],
    })
}

/// Gives a recorded value the name that callers use. Runtimes optimise the operation away.
fn name_result(value: &Value, name: &str) -> NodeProto {
    NodeProto {
        input: vec![value.name().to_owned()],
        output: vec![name.to_owned()],
        name: Some(name.to_owned()),
        op_type: Some("Identity".to_owned()),
        attribute: Vec::new(),
    }
}

fn initializer_of(name: &str, parameter: &Tensor) -> Result<TensorProto, GraphError> {
    let kind = parameter.f_kind()?;
    if kind != Kind::Float {
        return Err(GraphError::NotFloat { name: name.to_owned(), kind });
    }
    let tensor = parameter.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0f32; tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel())?;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    if count > 0 {
        return Err(GraphError::NotFinite { name: name.to_owned(), count });
    }
    Ok(TensorProto {
        dims: tensor.size(),
        data_type: Some(DataType::Float.into()),
        name: Some(name.to_owned()),
        raw_data: Some(bytemuck::cast_slice(&values).to_vec()),
    })
}

/// Describes an input or output `[batch, shape…]`.
fn info(name: &str, data_type: DataType, shape: &[i64]) -> ValueInfoProto {
    let batch = DimensionProto { dim_param: Some("batch".to_owned()), ..Default::default() };
    let fixed = |&extent: &i64| DimensionProto { dim_value: Some(extent), ..Default::default() };
    let dim = [batch].into_iter().chain(shape.iter().map(fixed)).collect();
    let tensor_type = TensorTypeProto {
        elem_type: Some(data_type.into()),
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
    }
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}
