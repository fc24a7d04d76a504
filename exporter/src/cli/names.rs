//! Parsers of names as users type them, and names for models.

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

/// Finds `text` in a table of (name, value), or lists the names in it.
fn find<T: Copy>(table: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        format!("use one of {}", names.join(", "))
    })
}

pub(super) fn beta_schedule(text: &str) -> Result<BetaSchedule, String> {
    find(&BetaSchedule::NAMES, text)
}

pub(super) fn prediction(text: &str) -> Result<Prediction, String> {
    find(&Prediction::NAMES, text)
}

pub(super) fn variance(text: &str) -> Result<Variance, String> {
    find(&Variance::NAMES, text)
}

/// Derives a model's name from a file, without its extension, or a folder; characters that names
/// may not have become `-`.
pub(super) fn model_name(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let stem = name.unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    stem.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_becomes_a_valid_model_name() {
        assert_eq!(model_name(Path::new("a/My Net_2.json")), "my-net_2");
    }
}
