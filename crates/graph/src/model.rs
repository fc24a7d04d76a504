//! A graph becomes a file.

use crate::format::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// Version of the operators: current runtimes support it, and our graphs need no newer one.
pub const OPSET: i64 = 21;

/// ONNX's own operators.
pub const ONNX: (&str, i64) = ("", OPSET);

/// Version of the file format that came with [`OPSET`].
const IR_VERSION: i64 = 10;

/// Wraps a graph in a model.
///
/// * `producer`: name and version of the program that wrote it.
/// * `operators`: sets of operators with their versions.
/// * `metadata`: the file's key-value pairs.
#[must_use]
pub fn model(
    graph: GraphProto,
    (producer, version): (&str, &str),
    operators: &[(&str, i64)],
    metadata: &[(&str, String)],
) -> ModelProto {
    let set = |&(domain, version): &(&str, i64)| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let entry = |(key, value): &(&str, String)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some(value.clone()),
    };
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(producer.to_owned()),
        producer_version: Some(version.to_owned()),
        graph: Some(graph),
        opset_import: operators.iter().map(set).collect(),
        metadata_props: metadata.iter().map(entry).collect(),
    }
}
