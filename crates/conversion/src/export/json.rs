//! Indented JSON.

use ddpm_package::MANIFEST_FILE;

use super::ExportError;

/// Writes a value as indented JSON.
///
/// # Errors
///
/// [`ExportError::Package`] if a map has keys that are not text.
pub fn to_json(value: &impl serde::Serialize) -> Result<String, ExportError> {
    let fault = |error: serde_json::Error| ddpm_package::Error::Manifest {
        path: MANIFEST_FILE.into(),
        reason: error.to_string(),
    };
    Ok(serde_json::to_string_pretty(value).map_err(fault)?)
}
