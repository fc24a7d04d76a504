//! From a network to the bytes of an ONNX file.
//!
//! Every graph has the same interface: inputs `sample` `[batch, …]`, `timestep` `[batch]` (f32,
//! real-valued) and, if conditional, `class_labels` `[batch]` (int64); output `out_sample`. The
//! batch size is free. Parameters keep their names.

use prost::Message;
use tch::{Device, Kind, Tensor};

use super::onnx::{
    DataType, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use super::record::{Trace, Value};
use crate::model::{Inputs, Network};

/// The operators' version: old enough for today's runtimes, and all that the portable graph needs.
const OPSET: i64 = 21;

/// The file format's version that came with [`OPSET`].
const IR_VERSION: i64 = 10;

/// Protobuf's limit for one message.
const MAX_BYTES: usize = i32::MAX as usize;

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// Training diverged, or a checkpoint is damaged.
    #[error(
        "parameter {name} holds {count} values that are infinite or not a number: export an earlier checkpoint"
    )]
    NotFinite {
        /// The parameter.
        name: String,
        /// How many of its values.
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
        "the graph takes {bytes} bytes, above the {MAX_BYTES} of an ONNX file: use a smaller network"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// libtorch could not hand over the values.
    #[error("cannot read the parameters")]
    Torch(#[from] tch::TchError),
}

/// Writes the portable graph: f32, NCHW, opset 21, ONNX's own operators only.
///
/// `metadata` becomes the file's key-value pairs.
///
/// # Errors
///
/// [`GraphError`] if a parameter is not finite or not f32, or the file would exceed 2 GB.
pub fn portable(network: &Network, metadata: &[(&str, String)]) -> Result<Vec<u8>, GraphError> {
    encoded(graph(network)?, metadata)
}

/// Writes a graph from pictures to features: input `pictures`, output `features`, in the dialect of
/// [`portable`].
///
/// * `shape`: of a picture, `[C, H, W]`.
/// * `network`: what is recorded.
///
/// # Errors
///
/// As [`portable`].
pub(crate) fn feature_graph(
    shape: [i64; 3],
    network: impl FnOnce(&Trace, &Value) -> Value,
) -> Result<Vec<u8>, GraphError> {
    let trace = Trace::default();
    let features = network(&trace, &Value::new("pictures", &shape));
    let input = vec![info("pictures", DataType::Float, &shape)];
    let output = (&features, info("features", DataType::Float, &features.shape));
    encoded(assembled("extractor", trace, input, output)?, &[])
}

fn encoded(graph: GraphProto, metadata: &[(&str, String)]) -> Result<Vec<u8>, GraphError> {
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
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
    assembled("denoiser", trace, input, output)
}

/// What was recorded, with its inputs and its output.
fn assembled(
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

/// Gives a recorded value the name that callers know. Runtimes take the operation out.
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

/// Describes `[batch, shape…]`.
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
