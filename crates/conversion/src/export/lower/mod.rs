//! Proves a graph for CUDA on a CPU: replaces its contributed operators by ONNX's own.
//!
//! ONNX Runtime's CPU provider has no kernels for them. The lowered graph computes the same from
//! the definitions of the operators, in f32 throughout, so it shows that weights, layouts and
//! wiring are right; with [`Rounding::Half`] each result is also rounded as the graph on a GPU
//! rounds it.

mod nodes;

use std::collections::HashMap;

use ddpm_graph::format::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, ModelProto, NodeProto,
    TensorProto, ValueInfoProto,
};
use half::f16;
use prost::Message;

/// What a lowered graph does with results that are f16 in the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Leaves them in f32.
    None,
    /// Rounds each to f16 and back.
    Half,
}

/// The reason why a graph cannot be lowered.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// The bytes are not an ONNX file.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A contributed operator that graphs written here do not have.
    #[error("the operator {0:?} is not known here")]
    Unknown(String),
    /// A node lacks an input, an attribute or a described shape.
    #[error("{node}: {what} is missing")]
    Missing {
        /// The node.
        node: String,
        /// What it lacks.
        what: String,
    },
}

/// Lowers a graph to ONNX's own operators in f32.
///
/// # Errors
///
/// [`LowerError`] for graphs that were not written here.
pub fn lower(onnx: &[u8], rounding: Rounding) -> Result<Vec<u8>, LowerError> {
    let mut model = ModelProto::decode(onnx)?;
    let graph = model.graph.take().unwrap_or_default();
    model.opset_import.retain(|operators| operators.domain().is_empty());
    model.graph = Some(Lowering::new(&graph, rounding).graph(graph)?);
    Ok(model.encode_to_vec())
}

/// A graph being lowered.
#[derive(Debug)]
struct Lowering {
    rounding: Rounding,
    /// Shapes after the batch axis, and types, of described results.
    described: HashMap<String, (Vec<i64>, DataType)>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Lowering {
    fn new(graph: &GraphProto, rounding: Rounding) -> Self {
        let described = graph.value_info.iter().filter_map(described).collect();
        Self { rounding, described, nodes: Vec::new(), constants: Vec::new() }
    }

    fn graph(mut self, graph: GraphProto) -> Result<GraphProto, LowerError> {
        for node in &graph.node {
            let outputs = node.output.clone();
            let renamed: Vec<String> =
                outputs.iter().map(|output| self.before_rounding(output)).collect();
            self.node(&NodeProto { output: renamed.clone(), ..node.clone() })?;
            for (exact, output) in renamed.iter().zip(&outputs).filter(|(a, b)| a != b) {
                let half = self.cast(exact, DataType::Float16);
                self.push("Cast", &[&half], output, vec![cast_to(DataType::Float)]);
            }
        }
        let mut initializer: Vec<TensorProto> =
            graph.initializer.into_iter().map(widened).collect();
        initializer.extend(self.constants);
        Ok(GraphProto { node: self.nodes, initializer, value_info: Vec::new(), ..graph })
    }

    /// Names the exact result whose rounded form takes the name of `output`.
    fn before_rounding(&self, output: &str) -> String {
        let is_half =
            self.described.get(output).is_some_and(|(_, kind)| *kind == DataType::Float16);
        match self.rounding {
            Rounding::Half if is_half => format!("{output}.exact"),
            _ => output.to_owned(),
        }
    }

    /// Adds a node of one result.
    fn push(&mut self, op_type: &str, inputs: &[&str], output: &str, attrs: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.to_owned()],
            name: Some(format!("lowered_{}", self.nodes.len())),
            op_type: Some(op_type.to_owned()),
            attribute: attrs,
            domain: None,
        });
    }

    /// Adds a node whose result gets a new name.
    fn add(&mut self, op_type: &str, inputs: &[&str], attrs: Vec<AttributeProto>) -> String {
        let output = format!("lowered_{}_0", self.nodes.len());
        self.push(op_type, inputs, &output, attrs);
        output
    }

    fn cast(&mut self, x: &str, data_type: DataType) -> String {
        self.add("Cast", &[x], vec![cast_to(data_type)])
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.constant(DataType::Int64, vec![values.len() as i64], bytemuck::cast_slice(values))
    }

    fn floats(&mut self, values: &[f32]) -> String {
        self.constant(DataType::Float, vec![values.len() as i64], bytemuck::cast_slice(values))
    }

    fn constant(&mut self, data_type: DataType, dims: Vec<i64>, bytes: &[u8]) -> String {
        let name = format!("lowered_const_{}", self.constants.len());
        self.constants.push(TensorProto {
            dims,
            data_type: Some(data_type.into()),
            name: Some(name.clone()),
            raw_data: Some(bytes.to_vec()),
        });
        name
    }
}

fn described(info: &ValueInfoProto) -> Option<(String, (Vec<i64>, DataType))> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    let shape = dims.iter().skip(1).map(DimensionProto::dim_value).collect();
    let data_type = DataType::try_from(tensor.elem_type?).ok()?;
    Some((info.name().to_owned(), (shape, data_type)))
}

/// Makes a parameter of f16 one of f32.
fn widened(tensor: TensorProto) -> TensorProto {
    if tensor.data_type != Some(DataType::Float16.into()) {
        return tensor;
    }
    let halves = tensor.raw_data().chunks_exact(2);
    let values: Vec<f32> =
        halves.map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()).collect();
    TensorProto {
        data_type: Some(DataType::Float.into()),
        raw_data: Some(bytemuck::cast_slice(&values).to_vec()),
        ..tensor
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints.into()),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

fn cast_to(data_type: DataType) -> AttributeProto {
    int("to", data_type as i64)
}
