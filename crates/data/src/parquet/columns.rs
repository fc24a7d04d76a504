//! Finds the columns of a Parquet file that hold pictures and labels.

use parquet::basic::Type;
use parquet::file::metadata::FileMetaData;
use serde_json::Value;

/// The label column, with class names if the file gives them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LabelColumn {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) class_names: Option<Vec<String>>,
}

/// Metadata key under which Hugging Face describes the columns.
const DESCRIPTION: &str = "huggingface";

/// Finds the column of encoded pictures: `image`, or the only one of struct{bytes, path}.
pub(super) fn pictures(file: &FileMetaData) -> Option<usize> {
    let is_bytes = |at: &usize| {
        let column = file.schema_descr().column(*at);
        column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    };
    let bytes = || (0..file.schema_descr().num_columns()).filter(is_bytes);
    let named = |name: &str| bytes().find(|&at| path(file, at).join(".") == name);
    let mut structs = bytes().filter(|&at| matches!(path(file, at), [_, part] if part == "bytes"));
    named("image.bytes").or_else(|| named("image")).or_else(|| {
        match (structs.next(), structs.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    })
}

/// Finds the label column: `label`, or the only one described as a class label.
pub(super) fn labels(file: &FileMetaData) -> Option<LabelColumn> {
    let features = features(file).unwrap_or_default();
    let is_class = |name: &str| features[name]["_type"] == "ClassLabel";
    let plain = |at: usize| match path(file, at) {
        [name] => Some((at, name.clone())),
        _ => None,
    };
    let columns: Vec<_> = (0..file.schema_descr().num_columns()).filter_map(plain).collect();
    let mut classes = columns.iter().filter(|(_, name)| is_class(name));
    let only = || match (classes.next(), classes.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    let (at, name) = columns.iter().find(|(_, name)| name == "label").or_else(only)?.clone();
    let names = features[&name]["names"].as_array().filter(|_| is_class(&name));
    let text = |name: &Value| name.as_str().map(str::to_owned);
    let class_names = names.and_then(|names| names.iter().map(text).collect());
    Some(LabelColumn { at, name, class_names })
}

/// Returns the path of a column, outermost name first.
fn path(file: &FileMetaData, at: usize) -> &[String] {
    file.schema_descr().columns()[at].path().parts()
}

fn features(file: &FileMetaData) -> Option<Value> {
    let pairs = file.key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == DESCRIPTION)?.value.as_deref()?;
    let mut description: Value = serde_json::from_str(text).ok()?;
    Some(description["info"]["features"].take())
}
