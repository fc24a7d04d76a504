//! Finds the columns of a Parquet file that hold pictures and labels.

use parquet::basic::Type;
use parquet::file::metadata::FileMetaData;
use serde_json::Value;

use crate::LabelSource;
use crate::labelling::label_columns;

/// The label column, with class names if the file gives them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LabelColumn {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) class_names: Option<Vec<String>>,
}

/// A column at the top of a table.
struct Column {
    name: String,
    /// Whether it holds one value in each row, and where; lists and structs do not.
    at: Option<usize>,
    /// Whether the metadata describe it as a class label.
    is_class: bool,
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

/// Finds the label column: the one that is asked for, or the only one that the metadata describe as
/// a class label, or else the only one that is named like labels.
///
/// * `pictures`: the column of pictures.
///
/// # Errors
///
/// Why there is no such column, or that there are several, as text that follows the file's name.
pub(super) fn labels(
    file: &FileMetaData,
    pictures: usize,
    source: &LabelSource,
) -> Result<Option<LabelColumn>, String> {
    let features = features(file).unwrap_or_default();
    let columns = columns(file, pictures, &features);
    let chosen = match source {
        LabelSource::None => return Ok(None),
        LabelSource::Column(name) => {
            let found = columns.iter().find(|column| column.name == *name);
            Some(found.ok_or_else(|| {
                format!("it has no column {name}; its columns are {}", names(&columns))
            })?)
        }
        _ => likely(&columns)?,
    };
    let Some(Column { name, at, is_class }) = chosen else { return Ok(None) };
    let Some(at) = *at else {
        return Err(format!(
            "its column {name} holds several values in each row, and a picture has one class; \
             choose another with `--labels column:NAME`, or use `--no-labels`"
        ));
    };
    let class_names = features[name]["names"].as_array().filter(|_| *is_class);
    let text = |name: &Value| name.as_str().map(str::to_owned);
    let class_names = class_names.and_then(|names| names.iter().map(text).collect());
    Ok(Some(LabelColumn { at, name: name.clone(), class_names }))
}

/// Names the columns, for messages.
pub(super) fn column_names(file: &FileMetaData, pictures: usize) -> String {
    names(&columns(file, pictures, &Value::Null))
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}

/// Lists the columns other than that of pictures.
fn columns(file: &FileMetaData, pictures: usize, features: &Value) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for at in 0..file.schema_descr().num_columns() {
        let path = path(file, at);
        let Some(name) = path.first().filter(|name| **name != self::path(file, pictures)[0]) else {
            continue;
        };
        if columns.last().is_some_and(|last| last.name == *name) {
            continue;
        }
        let single = path.len() == 1 && file.schema_descr().column(at).max_rep_level() == 0;
        let is_class = features[name]["_type"] == "ClassLabel";
        columns.push(Column { name: name.clone(), at: single.then_some(at), is_class });
    }
    columns
}

/// Finds the only column that is likely to hold labels.
fn likely(columns: &[Column]) -> Result<Option<&Column>, String> {
    let described: Vec<_> = columns.iter().filter(|column| column.is_class).collect();
    let likely = || columns.iter().filter(|column| label_columns::is_likely(&column.name));
    let mut named: Vec<_> = likely().filter(|column| column.at.is_some()).collect();
    if named.is_empty() {
        named = likely().collect();
    }
    // A description is more than a name, but for the name that is the convention.
    let is_label = |column: &&&Column| column.name == "label" && !column.is_class;
    match (&described[..], &named[..]) {
        ([only], _) if !named.iter().any(|column| is_label(&column)) => Ok(Some(only)),
        ([], []) => Ok(None),
        ([], [only]) => Ok(Some(only)),
        _ => {
            let mut all = described.clone();
            all.extend(named.iter().filter(|column| !column.is_class));
            let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
            Err(format!(
                "its columns {} may all be labels: choose one, such as `--labels column:{}`, or \
                 use `--no-labels`",
                names.join(", "),
                names[0]
            ))
        }
    }
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
