//! Presets: settings of published results, and one that is small; files of `presets/`.

use super::Layer;

/// Name and text of each.
pub(in crate::cli) const PRESETS: [(&str, &str); 5] = [
    ("cifar10", include_str!("../../../../presets/cifar10.toml")),
    ("celeba", include_str!("../../../../presets/celeba.toml")),
    ("celebahq", include_str!("../../../../presets/celebahq.toml")),
    ("mnist", include_str!("../../../../presets/mnist.toml")),
    ("small", include_str!("../../../../presets/small.toml")),
];

/// The preset of that name.
///
/// # Errors
///
/// The names that there are.
pub(in crate::cli) fn preset(name: &str) -> Result<Layer, String> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    let (_, text) = found.ok_or_else(|| {
        let names = PRESETS.map(|(name, _)| name).join(", ");
        format!("there is no preset {name:?}; use one of {names}")
    })?;
    Layer::parse(text)
}
