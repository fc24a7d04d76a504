//! What a picture says about itself: the receipt as text chunks.
//!
//! With these and the model anyone can make the same picture again. Keys start
//! with `ddpm.`; values are those of the command line.

use crate::events::Receipt;

/// Describes a picture of the samples `indices`, such as `3` or `0-63`.
///
/// * `label`: class of a single sample, as it should be read.
#[must_use]
pub fn describe(receipt: &Receipt, indices: &str, label: Option<&str>) -> Vec<(String, String)> {
    let labels = receipt.class_labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    let software = concat!("ddpm ", env!("CARGO_PKG_VERSION")).to_owned();
    let entries = [
        ("ddpm.model", receipt.model.clone()),
        ("ddpm.version", receipt.version.clone()),
        ("ddpm.model_digest", receipt.model_digest.clone()),
        ("ddpm.graph", receipt.graph.clone()),
        ("ddpm.seed", receipt.seed.to_string()),
        ("ddpm.index", indices.to_owned()),
        ("ddpm.label", label.unwrap_or_default().to_owned()),
        ("ddpm.labels", labels.join(",")),
        ("ddpm.sampler", receipt.sampler.to_string()),
        ("ddpm.steps", receipt.num_steps.to_string()),
        ("ddpm.grid", receipt.grid.map_or_else(String::new, |grid| grid.to_string())),
        ("ddpm.clip", receipt.clip.map_or_else(String::new, |clip| clip.to_string())),
        ("ddpm.program_digest", receipt.program_digest.clone()),
        ("ddpm.fingerprint", receipt.fingerprint.clone()),
        ("ddpm.noise_layout", receipt.noise_layout.clone()),
    ];
    let said = entries.into_iter().filter(|(_, value)| !value.is_empty());
    let said = said.map(|(key, value)| (key.to_owned(), value));
    std::iter::once(("Software".to_owned(), software)).chain(said).collect()
}
