//! Settings files: our own in TOML, or the reference's in JSON.

use std::fs;
use std::path::Path;

use super::layer::Layer;
use super::reference;

/// Reads a settings file: JSON if its extension says so, TOML otherwise.
///
/// # Errors
///
/// Names the path if the file cannot be read, or has an unknown key or an invalid value.
pub(super) fn read(path: &Path) -> Result<Layer, String> {
    let text = fs::read_to_string(path)
        .map_err(|cause| format!("{}: cannot be read: {cause}", path.display()))?;
    let json = path.extension().is_some_and(|extension| extension == "json");
    let read = if json { reference::parse(&text) } else { Layer::parse(&text) };
    read.map_err(|problem| format!("{}: {problem}", path.display()))
}
