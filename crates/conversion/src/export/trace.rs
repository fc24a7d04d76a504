//! Records a graph: operations, parameters and constants, each under its own name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ddpm_graph::attributes::Attrs;
use ddpm_graph::format::{DataType, NodeProto, TensorProto};
use ddpm_network::Param;
use tch::Tensor;

use super::int8::Quantised;

/// A value of the recorded graph, `[B, shape…]`: a name and a shape, no numbers.
#[derive(Debug, Clone)]
pub struct Value {
    name: Rc<str>,
    /// Extents after the batch axis.
    pub shape: Vec<i64>,
    /// What it is a concatenation of, if it is one.
    parts: Option<Rc<[Value]>>,
}

impl Value {
    /// Names an input, or anything else that is not the result of a recorded operation.
    ///
    /// * `shape`: the extents after the batch axis.
    #[must_use]
    pub fn new(name: &str, shape: &[i64]) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), parts: None }
    }

    /// Notes what it is a concatenation of.
    pub(crate) fn concatenated(self, parts: &[&Value]) -> Self {
        Self { parts: Some(parts.iter().map(|part| (*part).clone()).collect()), ..self }
    }

    /// Returns what it is a concatenation of, if it is one.
    pub(crate) fn parts(&self) -> Option<&[Value]> {
        self.parts.as_deref()
    }

    /// Returns its name in the graph.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Records the operations that a network applies to values, as nodes of an ONNX graph.
///
/// It implements [`Ops`](ddpm_network::Ops): to record a network, run it on a trace. Nothing is
/// computed; parameters are kept as handles until the graph is written.
#[derive(Debug, Default)]
pub struct Trace {
    recorded: RefCell<Recorded>,
    /// Ranges of values, in graphs on 8-bit integers.
    pub(crate) quantised: Quantised,
}

/// The recorded parts of a graph.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Operations in the order of the calls.
    pub(crate) nodes: Vec<NodeProto>,
    /// Every parameter used, once.
    pub(crate) parameters: BTreeMap<String, Stored>,
    /// Every constant used, once.
    pub(crate) constants: Vec<TensorProto>,
    /// Indices of `constants` by their contents, to find repeats.
    constant_index: HashMap<(DataType, Vec<i64>, Vec<u8>), usize>,
}

/// A parameter of a graph.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its values, f32.
    pub(crate) value: Tensor,
    /// The type that they are written as.
    pub(crate) data_type: DataType,
}

impl Trace {
    /// Starts a recording whose convolutions are on 8-bit integers where ranges are known.
    pub(crate) fn quantised(quantised: Quantised) -> Self {
        Self { quantised, ..Self::default() }
    }

    /// Ends the recording.
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

    /// Records an operation of ONNX's own with `N` results, and names them.
    pub(crate) fn node<const N: usize>(
        &self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
    ) -> [String; N] {
        self.node_of(None, op_type, inputs, attrs)
    }

    /// Records an operation with `N` results, and names them.
    ///
    /// * `domain`: the set that the operator is from; `None` for ONNX's own.
    pub(crate) fn node_of<const N: usize>(
        &self,
        domain: Option<&str>,
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
            attribute: attrs.iter().map(|(name, attr)| attr.to_proto(name)).collect(),
            domain: domain.map(ToOwned::to_owned),
        });
        outputs
    }

    /// Adds a parameter to the graph, under its own name.
    pub(crate) fn param<'p>(&self, param: &'p Param) -> &'p str {
        self.store(&param.name, &param.value, DataType::Float);
        &param.name
    }

    /// Adds a parameter to the graph, unless it has one of that name.
    pub(crate) fn store(&self, name: &str, value: &Tensor, data_type: DataType) {
        let parameters = &mut self.recorded.borrow_mut().parameters;
        let stored = || Stored { value: value.shallow_clone(), data_type };
        parameters.entry(name.to_owned()).or_insert_with(stored);
    }

    /// Adds a constant vector of f32.
    pub(crate) fn floats(&self, values: &[f32]) -> String {
        self.constant(DataType::Float, values.len(), bytemuck::cast_slice(values))
    }

    /// Adds a constant vector of i64: most often axes or extents.
    pub(crate) fn ints(&self, values: &[i64]) -> String {
        self.constant(DataType::Int64, values.len(), bytemuck::cast_slice(values))
    }

    /// Adds a constant number.
    pub(crate) fn scalar(&self, value: f32) -> String {
        self.tensor(DataType::Float, &[], bytemuck::bytes_of(&value))
    }

    /// Adds a constant u8.
    pub(crate) fn byte(&self, value: u8) -> String {
        self.tensor(DataType::Uint8, &[], &[value])
    }

    /// Adds a constant under a name of its own, unless the graph has it.
    ///
    /// * `bytes`: the elements, little endian.
    pub(crate) fn raw(
        &self,
        name: &str,
        data_type: DataType,
        dims: &[i64],
        bytes: &[u8],
    ) -> String {
        let constants = &mut self.recorded.borrow_mut().constants;
        if !constants.iter().any(|constant| constant.name() == name) {
            constants.push(TensorProto {
                dims: dims.to_vec(),
                data_type: Some(data_type.into()),
                name: Some(name.to_owned()),
                raw_data: Some(bytes.to_vec()),
            });
        }
        name.to_owned()
    }

    /// Adds a constant vector. The bytes are in native order: libtorch runs on little-endian
    /// machines, and the format is little endian.
    fn constant(&self, data_type: DataType, len: usize, bytes: &[u8]) -> String {
        self.tensor(data_type, &[len as i64], bytes)
    }

    fn tensor(&self, data_type: DataType, dims: &[i64], bytes: &[u8]) -> String {
        let Recorded { constants, constant_index, .. } = &mut *self.recorded.borrow_mut();
        let dims = dims.to_vec();
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
