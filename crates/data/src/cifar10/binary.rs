//! The binary version: records of one label byte and 3×32×32 bytes in CHW order.

use super::batches::{Batches, PICTURE_LEN};

const RECORD_LEN: usize = 1 + PICTURE_LEN;

/// Appends the records of one file.
///
/// # Errors
///
/// What is wrong with the file: it is not a whole number of records, or has a label above 9.
pub(super) fn add_batch(bytes: &[u8], batches: &mut Batches) -> Result<(), String> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD_LEN) {
        return Err(format!(
            "its {} bytes are not a whole number of {RECORD_LEN}-byte records; fetch it again",
            bytes.len()
        ));
    }
    for (record, bytes) in bytes.chunks_exact(RECORD_LEN).enumerate() {
        batches.add_label(record, bytes[0].into())?;
        batches.pixels.extend_from_slice(&bytes[1..]);
    }
    Ok(())
}

/// Reads the lines of `batches.meta.txt`.
///
/// # Errors
///
/// If it is not text.
pub(super) fn class_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = str::from_utf8(bytes).map_err(|cause| format!("it is not text: {cause}"))?;
    Ok(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
