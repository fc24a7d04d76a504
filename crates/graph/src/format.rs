//! The part of ONNX's protobuf schema that our graphs use, as prost messages.
//!
//! Field numbers are from `onnx.proto`, <https://github.com/onnx/onnx>. That file is proto2, where
//! "absent" differs from zero: an attribute of value 0 must be written. Hence the `Option`s.

use prost::Message;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the file format.
    #[prost(int64, optional, tag = 1)]
    pub ir_version: Option<i64>,
    /// The program that wrote the file.
    #[prost(string, optional, tag = 2)]
    pub producer_name: Option<String>,
    /// Its version.
    #[prost(string, optional, tag = 3)]
    pub producer_version: Option<String>,
    /// The computation.
    #[prost(message, optional, tag = 7)]
    pub graph: Option<GraphProto>,
    /// Sets of operators in the graph, with their versions.
    #[prost(message, repeated, tag = 8)]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Free key-value pairs.
    #[prost(message, repeated, tag = 14)]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A version of a set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for ONNX's own operators.
    #[prost(string, optional, tag = 1)]
    pub domain: Option<String>,
    /// The version.
    #[prost(int64, optional, tag = 2)]
    pub version: Option<i64>,
}

/// A key and a value.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// The key.
    #[prost(string, optional, tag = 1)]
    pub key: Option<String>,
    /// The value.
    #[prost(string, optional, tag = 2)]
    pub value: Option<String>,
}

/// Operations in the order of their data flow.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// The operations.
    #[prost(message, repeated, tag = 1)]
    pub node: Vec<NodeProto>,
    /// Required by the format.
    #[prost(string, optional, tag = 2)]
    pub name: Option<String>,
    /// Parameters and constants.
    #[prost(message, repeated, tag = 5)]
    pub initializer: Vec<TensorProto>,
    /// Inputs.
    #[prost(message, repeated, tag = 11)]
    pub input: Vec<ValueInfoProto>,
    /// Outputs.
    #[prost(message, repeated, tag = 12)]
    pub output: Vec<ValueInfoProto>,
    /// Types and shapes of results that a runtime cannot infer.
    #[prost(message, repeated, tag = 13)]
    pub value_info: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of its operands; an empty name is an operand left out.
    #[prost(string, repeated, tag = 1)]
    pub input: Vec<String>,
    /// Names of its results.
    #[prost(string, repeated, tag = 2)]
    pub output: Vec<String>,
    /// Shown by tools.
    #[prost(string, optional, tag = 3)]
    pub name: Option<String>,
    /// The operator.
    #[prost(string, optional, tag = 4)]
    pub op_type: Option<String>,
    /// Its attributes.
    #[prost(message, repeated, tag = 5)]
    pub attribute: Vec<AttributeProto>,
    /// The set that the operator is from; absent for ONNX's own.
    #[prost(string, optional, tag = 7)]
    pub domain: Option<String>,
}

/// An attribute of an operation; `type` selects the field with its value.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, optional, tag = 1)]
    pub name: Option<String>,
    /// Value of an [`AttributeType::Float`].
    #[prost(float, optional, tag = 2)]
    pub f: Option<f32>,
    /// Value of an [`AttributeType::Int`].
    #[prost(int64, optional, tag = 3)]
    pub i: Option<i64>,
    /// Value of an [`AttributeType::String`].
    #[prost(bytes = "vec", optional, tag = 4)]
    pub s: Option<Vec<u8>>,
    /// Value of an [`AttributeType::Ints`].
    #[prost(int64, repeated, packed = "false", tag = 8)]
    pub ints: Vec<i64>,
    /// Type of the value.
    #[prost(enumeration = "AttributeType", optional, tag = 20)]
    pub r#type: Option<i32>,
}

/// Types of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
pub enum AttributeType {
    /// Never written.
    Undefined = 0,
    /// A real number.
    Float = 1,
    /// A whole number.
    Int = 2,
    /// Bytes.
    String = 3,
    /// Whole numbers.
    Ints = 7,
}

/// A parameter or a constant.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Shape; empty for a scalar.
    #[prost(int64, repeated, packed = "false", tag = 1)]
    pub dims: Vec<i64>,
    /// Type of the elements.
    #[prost(enumeration = "DataType", optional, tag = 2)]
    pub data_type: Option<i32>,
    /// Its name in the nodes.
    #[prost(string, optional, tag = 8)]
    pub name: Option<String>,
    /// Elements in row-major order, little endian.
    #[prost(bytes = "vec", optional, tag = 9)]
    pub raw_data: Option<Vec<u8>>,
}

/// Types of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
pub enum DataType {
    /// Never written.
    Undefined = 0,
    /// f32.
    Float = 1,
    /// u8.
    Uint8 = 2,
    /// i8.
    Int8 = 3,
    /// i32.
    Int32 = 6,
    /// i64.
    Int64 = 7,
    /// bool, one byte each.
    Bool = 9,
    /// f16.
    Float16 = 10,
    /// f64.
    Double = 11,
}

/// An input or an output: name, type and shape.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// The name.
    #[prost(string, optional, tag = 1)]
    pub name: Option<String>,
    /// Type and shape.
    #[prost(message, optional, tag = 2)]
    pub r#type: Option<TypeProto>,
}

/// The type of a value; ours are all tensors.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// Type and shape.
    #[prost(message, optional, tag = 1)]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// Type of the elements.
    #[prost(enumeration = "DataType", optional, tag = 1)]
    pub elem_type: Option<i32>,
    /// The shape.
    #[prost(message, optional, tag = 2)]
    pub shape: Option<TensorShapeProto>,
}

/// A shape, some of whose extents may be free.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// The extents.
    #[prost(message, repeated, tag = 1)]
    pub dim: Vec<DimensionProto>,
}

/// One extent: a number, or a name for a free one.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// A fixed extent.
    #[prost(int64, optional, tag = 1)]
    pub dim_value: Option<i64>,
    /// The name of a free extent.
    #[prost(string, optional, tag = 2)]
    pub dim_param: Option<String>,
}
