//! Writes a network as an ONNX file.
//!
//! Every graph of a network has the same interface: inputs `sample` `[batch, …]`, `timestep`
//! `[batch]` (f32, real-valued) and, if conditional, `class_labels` `[batch]` (int64); output
//! `out_sample`. The batch size is free. Parameters keep their names.

use ddpm_graph::format::{
    DataType, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use ddpm_graph::model::{ONNX, model};
use ddpm_network::{Inputs, Network};
use half::f16;
use prost::Message;
use tch::{Device, Kind};

use super::int8::{Quantised, Spans};
use super::trace::{Stored, Trace, Value};

/// Operators that ONNX Runtime contributes.
const CONTRIBUTED: (&str, i64) = ("com.microsoft", 1);

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
    /// Graphs for CUDA hold f16.
    #[error(
        "parameter {name} reaches {largest:e}, beyond the 65504 of f16: leave out the graph for \
         CUDA"
    )]
    NotHalf {
        /// The parameter.
        name: String,
        /// Its largest magnitude.
        largest: f32,
    },
    /// Graphs for CUDA are of pictures.
    #[error("networks of points have no graph for CUDA: the portable one is as fast")]
    NoPictures,
    /// Graphs on 8-bit integers are of pictures.
    #[error("networks of points have no int8 graph: they have no convolutions")]
    NoConvolutions,
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
    encode(graph(network, Trace::default())?, &[ONNX], metadata)
}

/// Encodes a recording in the CUDA dialect.
///
/// * `output`: the name of the result.
/// * `described`: types and shapes of all other results.
pub(super) fn encode_cuda(
    network: &Network,
    trace: Trace,
    output: &str,
    described: Vec<ValueInfoProto>,
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, GraphError> {
    let (inputs, info) = interface(network);
    let result = Value::new(output, &network.config().output_shape());
    let mut graph = assemble("denoiser", trace, inputs, (&result, info))?;
    graph.value_info = described;
    encode(graph, &[ONNX, CONTRIBUTED], metadata)
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
    encode(assemble("extractor", trace, input, output)?, &[ONNX], &[])
}

fn encode(
    graph: GraphProto,
    operators: &[(&str, i64)],
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, GraphError> {
    let producer = (PRODUCER, env!("CARGO_PKG_VERSION"));
    let model = model(graph, producer, operators, metadata);
    let bytes = model.encoded_len();
    if bytes > MAX_BYTES {
        return Err(GraphError::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

/// Writes the portable graph with the convolutions of known ranges on 8-bit integers.
pub(super) fn quantised(
    network: &Network,
    spans: Spans,
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, GraphError> {
    encode(graph(network, Trace::quantised(Quantised::new(spans)))?, &[ONNX], metadata)
}

/// Records a network.
fn graph(network: &Network, trace: Trace) -> Result<GraphProto, GraphError> {
    let config = network.config();
    let inputs = Inputs {
        sample: Value::new("sample", &config.sample_shape()),
        timestep: Value::new("timestep", &[]),
        class_labels: config.num_classes().map(|_| Value::new("class_labels", &[])),
    };
    let result = network.forward(&trace, &inputs);
    let (input, output) = interface(network);
    assemble("denoiser", trace, input, (&result, output))
}

/// Describes the inputs of every graph of a network, and its output.
fn interface(network: &Network) -> (Vec<ValueInfoProto>, ValueInfoProto) {
    let config = network.config();
    let mut inputs = vec![
        info("sample", DataType::Float, &config.sample_shape()),
        info("timestep", DataType::Float, &[]),
    ];
    inputs.extend(config.num_classes().map(|_| info("class_labels", DataType::Int64, &[])));
    (inputs, info("out_sample", DataType::Float, &config.output_shape()))
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
        value_info: Vec::new(),
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
        domain: None,
    }
}

fn initializer_of(name: &str, parameter: &Stored) -> Result<TensorProto, GraphError> {
    let kind = parameter.value.f_kind()?;
    if kind != Kind::Float {
        return Err(GraphError::NotFloat { name: name.to_owned(), kind });
    }
    let tensor = parameter.value.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0f32; tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel())?;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    if count > 0 {
        return Err(GraphError::NotFinite { name: name.to_owned(), count });
    }
    let bytes = match parameter.data_type {
        DataType::Float16 => halves(name, &values)?,
        _ => bytemuck::cast_slice(&values).to_vec(),
    };
    Ok(TensorProto {
        dims: tensor.size(),
        data_type: Some(parameter.data_type.into()),
        name: Some(name.to_owned()),
        raw_data: Some(bytes),
    })
}

/// Rounds values to f16, little endian.
fn halves(name: &str, values: &[f32]) -> Result<Vec<u8>, GraphError> {
    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    if f16::from_f32(largest).is_infinite() {
        return Err(GraphError::NotHalf { name: name.to_owned(), largest });
    }
    Ok(halves.iter().flat_map(|half| half.to_le_bytes()).collect())
}

/// Describes an input or output `[batch, shape…]`.
pub(super) fn info(name: &str, data_type: DataType, shape: &[i64]) -> ValueInfoProto {
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
