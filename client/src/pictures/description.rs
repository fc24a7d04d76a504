//! The receipt as text chunks of a picture.
//!
//! With these and the model, anyone can reproduce the picture. Keys start with
//! `ddpm.`; values are written as on the command line, and labels are the numbers of
//! classes, `--label index:N`.

use std::fmt::Display;

use crate::receipt::Receipt;
use crate::settings::{Guidance, Inpaint, SharedNoise};

/// Describes a picture of the samples `indices`, such as `3` or `0-63`.
///
/// * `label`: class of a single sample, for display.
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
        ("ddpm.grid", text(&receipt.grid)),
        ("ddpm.clip", text(&receipt.clip)),
        ("ddpm.guidance", receipt.guidance.map_or_else(String::new, guidance)),
        ("ddpm.shared_noise", receipt.shared_noise.map_or_else(String::new, shared_noise)),
        ("ddpm.strength", text(&receipt.strength)),
        ("ddpm.inpaint", receipt.inpaint.map_or_else(String::new, inpaint)),
        ("ddpm.frames", text(&receipt.interpolation_frames)),
        ("ddpm.inputs_digest", receipt.inputs_digest.clone()),
        ("ddpm.program_digest", receipt.program_digest.clone()),
        ("ddpm.fingerprint", receipt.fingerprint.clone()),
        ("ddpm.noise_layout", receipt.noise_layout.clone()),
        ("ddpm.determinism", text(&receipt.determinism)),
    ];
    let present = entries.into_iter().filter(|(_, value)| !value.is_empty());
    let present = present.map(|(key, value)| (key.to_owned(), value));
    std::iter::once(("Software".to_owned(), software)).chain(present).collect()
}

fn text<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(String::new, ToString::to_string)
}

/// Formats guidance: `3`, or `3 in 0.1:2` if limited to an interval of sigmas.
fn guidance(guidance: Guidance) -> String {
    let Guidance { scale, sigma_min, sigma_max } = guidance;
    match (sigma_min > 0.0, sigma_max.is_finite()) {
        (false, false) => scale.to_string(),
        (_, true) => format!("{scale} in {sigma_min}:{sigma_max}"),
        (true, false) => format!("{scale} in {sigma_min}:"),
    }
}

/// Formats inpainting: `replace-x0`, or `replace-xt 2,3` (resampling and jump length).
fn inpaint(inpaint: Inpaint) -> String {
    match inpaint {
        Inpaint::ReplaceX0 => "replace-x0".to_owned(),
        Inpaint::ReplaceXt { resampling, jump_length } => {
            format!("replace-xt {resampling},{jump_length}")
        }
    }
}

/// Formats shared noise: `9 start,steps`.
fn shared_noise(shared: SharedNoise) -> String {
    let words = [("start", shared.start), ("steps", shared.steps)];
    let set: Vec<&str> = words.iter().filter(|(_, set)| *set).map(|(word, _)| *word).collect();
    format!("{} {}", shared.index, set.join(","))
}
