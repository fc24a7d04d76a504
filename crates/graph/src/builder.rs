//! A graph, one operation after another.

use prost::Message;

use crate::attributes::Attrs;
use crate::format::{
    DataType, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::{ONNX, model};

/// The program named in the files.
const PRODUCER: (&str, &str) = ("ddpm-graph", env!("CARGO_PKG_VERSION"));

/// An extent of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Extent {
    /// A number.
    Fixed(usize),
    /// Free, under a name.
    Free(&'static str),
}

/// A graph that is being written. Values are named by what makes them.
#[derive(Debug, Default)]
pub struct Builder {
    graph: GraphProto,
}

impl Builder {
    /// Adds an input, and returns its name.
    pub fn input(&mut self, name: &str, data_type: DataType, shape: &[Extent]) -> String {
        self.graph.input.push(info(name, data_type, shape));
        name.to_owned()
    }

    /// Makes a value an output.
    pub fn output(&mut self, name: &str, value: &str, data_type: DataType, shape: &[Extent]) {
        self.graph.output.push(info(name, data_type, shape));
        self.push("Identity", &[value], vec![name.to_owned()], &[]);
    }

    /// Adds an operation with one result, and returns the result's name.
    pub fn op(&mut self, op_type: &str, inputs: &[&str], attrs: Attrs<'_>) -> String {
        let name = self.name(op_type);
        self.push(op_type, inputs, vec![name.clone()], attrs);
        name
    }

    /// Adds an operation with several results, and returns their names.
    pub fn op_of(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
        results: usize,
    ) -> Vec<String> {
        let name = self.name(op_type);
        let names: Vec<String> = (0..results).map(|result| format!("{name}_{result}")).collect();
        self.push(op_type, inputs, names.clone(), attrs);
        names
    }

    /// Adds a constant f32.
    pub fn float(&mut self, value: f32) -> String {
        self.constant(DataType::Float, &[], value.to_le_bytes().to_vec())
    }

    /// Adds a constant f64.
    pub fn double(&mut self, value: f64) -> String {
        self.constant(DataType::Double, &[], value.to_le_bytes().to_vec())
    }

    /// Adds a constant vector of i64: most often axes or extents.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Int64, &[values.len() as i64], bytes)
    }

    /// Returns the ONNX file.
    ///
    /// * `name`: of the graph, for tools.
    #[must_use]
    pub fn finish(mut self, name: &str) -> Vec<u8> {
        self.graph.name = Some(name.to_owned());
        model(self.graph, PRODUCER, &[ONNX], &[]).encode_to_vec()
    }

    /// Adds a constant, unless there is an equal one.
    fn constant(&mut self, data_type: DataType, dims: &[i64], bytes: Vec<u8>) -> String {
        let name = format!("constant_{}", self.graph.initializer.len());
        let made = TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type.into()),
            name: Some(name.clone()),
            raw_data: Some(bytes),
        };
        let equal = |other: &&TensorProto| {
            (&other.dims, other.data_type, &other.raw_data)
                == (&made.dims, made.data_type, &made.raw_data)
        };
        if let Some(name) = self.graph.initializer.iter().find(equal).and_then(|it| it.name.clone())
        {
            return name;
        }
        self.graph.initializer.push(made);
        name
    }

    fn name(&self, op_type: &str) -> String {
        format!("{op_type}_{}", self.graph.node.len())
    }

    fn push(&mut self, op_type: &str, inputs: &[&str], output: Vec<String>, attrs: Attrs<'_>) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            name: output.first().cloned(),
            output,
            op_type: Some(op_type.to_owned()),
            attribute: attrs.iter().map(|(name, attr)| attr.to_proto(name)).collect(),
            domain: None,
        });
    }
}

/// Describes an input or an output.
fn info(name: &str, data_type: DataType, shape: &[Extent]) -> ValueInfoProto {
    let dim = |extent: &Extent| match extent {
        Extent::Fixed(extent) => {
            DimensionProto { dim_value: Some(*extent as i64), ..Default::default() }
        }
        Extent::Free(name) => {
            DimensionProto { dim_param: Some((*name).to_owned()), ..Default::default() }
        }
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: Some(data_type.into()), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::format::ModelProto;

    #[test]
    fn a_graph_has_its_operations_in_order_and_each_constant_once() {
        let mut builder = Builder::default();
        let x = builder.input("x", DataType::Float, &[Extent::Free("rows"), Extent::Fixed(3)]);
        let (one, again) = (builder.float(1.0), builder.float(1.0));
        let (zero, other_zero) = (builder.float(0.0), builder.float(-0.0));
        assert_eq!(one, again);
        assert_ne!(zero, other_zero, "the two zeros are different constants");
        let sum = builder.op("Add", &[&x, &one], &[]);
        builder.output("y", &sum, DataType::Float, &[Extent::Free("rows"), Extent::Fixed(3)]);
        let model = ModelProto::decode(&builder.finish("sum")[..]).unwrap();
        let graph = model.graph.unwrap();
        let kinds: Vec<&str> = graph.node.iter().filter_map(|it| it.op_type.as_deref()).collect();
        assert_eq!(kinds, ["Add", "Identity"]);
        assert_eq!((graph.initializer.len(), graph.input.len(), graph.output.len()), (3, 1, 1));
        assert_eq!(graph.node[1].output, ["y"]);
    }
}
