//! Presets, from the files in `presets/`: settings of published results, and a small one.

use super::layer::Layer;

/// Name and TOML text of each preset.
pub(in crate::cli) const PRESETS: [(&str, &str); 5] = [
    ("cifar10", include_str!("../../../../presets/cifar10.toml")),
    ("celeba", include_str!("../../../../presets/celeba.toml")),
    ("celebahq", include_str!("../../../../presets/celebahq.toml")),
    ("mnist", include_str!("../../../../presets/mnist.toml")),
    ("small", include_str!("../../../../presets/small.toml")),
];

/// Parses the preset called `name`.
///
/// # Errors
///
/// Lists the known names.
pub(in crate::cli) fn preset(name: &str) -> Result<Layer, String> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    let (_, text) = found.ok_or_else(|| {
        let names = PRESETS.map(|(name, _)| name).join(", ");
        format!("no preset {name:?}; use one of {names}")
    })?;
    Layer::parse(text)
}
