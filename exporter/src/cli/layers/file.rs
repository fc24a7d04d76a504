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
    let place = path.display();
    let bytes = fs::read(path).map_err(|cause| format!("{place}: cannot be read: {cause}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        format!("{place}: its text is not in UTF-8: save it again in that encoding")
    })?;
    let text = without_mark(text);
    if text.trim().is_empty() {
        return Err(format!(
            "{place}: it is empty: leave out --config, or write one to edit with `ddpm-exporter \
             init FILE`"
        ));
    }
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let read = if json { reference::parse(text) } else { Layer::parse(text) };
    read.map_err(|problem| format!("{place}: {problem}"))
}

/// Removes the byte-order mark that editors on Windows put before a text.
pub(in crate::cli) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
