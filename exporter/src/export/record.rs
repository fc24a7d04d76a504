//! Recording a graph: operations, parameters and constants, each under a name of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use tch::Tensor;

use super::onnx::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto};
use crate::model::Param;

/// A value of the graph: `[B, shape…]`.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    name: Rc<str>,
    /// Extents after the batch axis.
    pub(crate) shape: Vec<i64>,
}

impl Value {
    /// An input, or anything else that is not the result of a recorded operation.
    pub(crate) fn new(name: &str, shape: &[i64]) -> Self {
        Self { name: name.into(), shape: shape.to_vec() }
    }

    /// What the graph calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Records what a network does to values.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    recorded: RefCell<Recorded>,
}

/// The parts of a graph.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Operations in the order they were called.
    pub(crate) nodes: Vec<NodeProto>,
    /// Every parameter used, once.
    pub(crate) parameters: BTreeMap<String, Tensor>,
    /// Every constant used, once.
    pub(crate) constants: Vec<TensorProto>,
    /// Bytes of the constants, to find the ones that are there already.
    constant_index: HashMap<(DataType, Vec<i64>, Vec<u8>), usize>,
}

/// The setting of an operation.
#[derive(Debug)]
pub(crate) enum Attr<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f64),
    Text(&'a str),
}

impl Attr<'_> {
    fn named(&self, name: &str) -> AttributeProto {
        let blank = AttributeProto { name: Some(name.to_owned()), ..Default::default() };
        let (kind, proto) = match self {
            Attr::Int(i) => (AttributeType::Int, AttributeProto { i: Some(*i), ..blank }),
            Attr::Ints(ints) => {
                (AttributeType::Ints, AttributeProto { ints: ints.to_vec(), ..blank })
            }
            Attr::Float(f) => {
                (AttributeType::Float, AttributeProto { f: Some(*f as f32), ..blank })
            }
            Attr::Text(text) => (
                AttributeType::String,
                AttributeProto { s: Some(text.as_bytes().to_vec()), ..blank },
            ),
        };
        AttributeProto { r#type: Some(kind.into()), ..proto }
    }
}

/// Settings by name.
pub(crate) type Attrs<'a> = &'a [(&'static str, Attr<'a>)];

impl Trace {
    /// What was recorded so far.
    pub(crate) fn into_recorded(self) -> Recorded {
        self.recorded.into_inner()
    }

    /// Records an operation with one result of the given shape.
    pub(crate) fn op(
        &self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
        shape: &[i64],
    ) -> Value {
        let [value] = self.node(op_type, inputs, attrs).map(|name| Value::new(&name, shape));
        value
    }

    /// Records an operation with `N` results, and makes up their names.
    pub(crate) fn node<const N: usize>(
        &self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
    ) -> [String; N] {
        let nodes = &mut self.recorded.borrow_mut().nodes;
        let name = format!("{op_type}_{}", nodes.len());
        let outputs = std::array::from_fn(|i| format!("{name}_{i}"));
        nodes.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.to_vec(),
            name: Some(name),
            op_type: Some(op_type.to_owned()),
            attribute: attrs.iter().map(|(name, attr)| attr.named(name)).collect(),
        });
        outputs
    }

    /// Takes a parameter into the graph, under its own name.
    pub(crate) fn param<'p>(&self, param: &'p Param) -> &'p str {
        let parameters = &mut self.recorded.borrow_mut().parameters;
        parameters.entry(param.name.clone()).or_insert_with(|| param.value.shallow_clone());
        &param.name
    }

    /// A constant vector of f32.
    pub(crate) fn floats(&self, values: &[f32]) -> String {
        self.constant(DataType::Float, values.len(), bytemuck::cast_slice(values))
    }

    /// A constant vector of i64: most often axes or extents.
    pub(crate) fn ints(&self, values: &[i64]) -> String {
        self.constant(DataType::Int64, values.len(), bytemuck::cast_slice(values))
    }

    /// A constant vector. Bytes are the machine's, and libtorch's machines are little endian, as
    /// the format is.
    fn constant(&self, data_type: DataType, len: usize, bytes: &[u8]) -> String {
        let Recorded { constants, constant_index, .. } = &mut *self.recorded.borrow_mut();
        let dims = vec![len as i64];
        let key = (data_type, dims.clone(), bytes.to_vec());
        let index = *constant_index.entry(key).or_insert(constants.len());
        let name = format!("const_{index}");
        if index == constants.len() {
            constants.push(TensorProto {
                dims,
                data_type: Some(data_type.into()),
                name: Some(name.clone()),
                raw_data: Some(bytes.to_vec()),
            });
        }
        name
    }
}
