//! The Python version: pickled dictionaries of a NumPy array `[N, 3072]` and a list of labels.
//!
//! A pickle is a program; here it is read as data. No name is looked up, no function is called, and
//! an object is represented by its constructor's arguments. For an array that is the tuple
//! (version, shape, type, Fortran order, bytes), see `ndarray.__setstate__`.

use serde_pickle::{DeOptions, HashableValue, Value};

use super::batches::{Batches, PICTURE_LEN};

/// Appends the records of one file.
///
/// # Errors
///
/// What is wrong with the file: it is not a pickle, has another structure, or has a label above 9.
pub(super) fn add_batch(bytes: &[u8], batches: &mut Batches) -> Result<(), String> {
    let dictionary = read(bytes)?;
    let pixels = field(&dictionary, "data").and_then(array_bytes).ok_or(
        "it has no `data` that is an array of N rows of 3072 bytes; fetch the Python version again",
    )?;
    let labels = match field(&dictionary, "labels") {
        Some(Value::List(labels)) => labels,
        _ => return Err("it has no list `labels`; fetch the Python version again".to_owned()),
    };
    let count = pixels.len() / PICTURE_LEN;
    if labels.len() != count {
        return Err(format!("it has {} labels for {count} pictures", labels.len()));
    }
    for (record, label) in labels.iter().enumerate() {
        match label {
            Value::I64(label) => batches.add_label(record, *label)?,
            _ => return Err(format!("the label of record {record} is not an integer")),
        }
    }
    batches.pixels.extend_from_slice(pixels);
    Ok(())
}

/// Reads the list `label_names` of `batches.meta`.
///
/// # Errors
///
/// If it is not a pickle, or has no such list.
pub(super) fn class_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let names = match field(&read(bytes)?, "label_names") {
        Some(Value::List(names)) => names.iter().map(text).collect::<Option<_>>(),
        _ => None,
    };
    names.ok_or_else(|| "it has no list `label_names` of strings".to_owned())
}

fn read(bytes: &[u8]) -> Result<Value, String> {
    // References to Python classes become None; the fields read here hold none.
    let options = DeOptions::new().replace_unresolved_globals();
    serde_pickle::value_from_slice(bytes, options)
        .map_err(|cause| format!("it is not a pickle of plain data: {cause}"))
}

/// Finds a field. Python 2 wrote the keys as bytes, Python 3 writes text.
fn field<'a>(dictionary: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Dict(fields) = dictionary else { return None };
    fields
        .get(&HashableValue::Bytes(name.as_bytes().to_vec()))
        .or_else(|| fields.get(&HashableValue::String(name.to_owned())))
}

/// Returns the bytes of a uint8 array of shape `[N, 3072]`, N ≥ 1.
fn array_bytes(array: &Value) -> Option<&[u8]> {
    let Value::Tuple(state) = array else { return None };
    let [_, Value::Tuple(shape), _, Value::Bool(false), Value::Bytes(bytes)] = &state[..] else {
        return None;
    };
    let [Value::I64(rows @ 1..), Value::I64(columns)] = &shape[..] else { return None };
    let announced = usize::try_from(*rows).ok()?.checked_mul(PICTURE_LEN)?;
    (*columns == PICTURE_LEN as i64 && bytes.len() == announced).then_some(bytes)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}
