//! Words for people: where a model comes from, and how to use it.

use std::path::PathBuf;

use ddpm_diffusion::Edm;
use ddpm_package::Manifest;
use serde_json::json;

use super::contents::{Contents, is_visible};
use super::package::{ExportError, json};
use crate::train::{CheckpointState, TrainConfig};

/// `training.json`: the run's settings, without the folders of the machine that trained.
pub(super) fn training(state: &CheckpointState) -> Result<String, ExportError> {
    let mut config = state.config.clone();
    config.data.source = data_name(&config);
    json(&json!({
        "exporter": env!("CARGO_PKG_VERSION"),
        "libtorch": "2.11.0",
        "steps_done": state.steps_done,
        "loss": state.loss,
        "config": config,
    }))
}

/// `mnist:digits` for `mnist:/home/me/digits`.
fn data_name(config: &TrainConfig) -> String {
    let Ok(mut source) = config.data.source() else { return config.data.source.clone() };
    if let Some(path) = source.path_mut() {
        *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    }
    source.to_string()
}

/// The model card of a run.
pub(super) fn readme(state: &CheckpointState, manifest: &Manifest) -> String {
    let CheckpointState { steps_done, config, .. } = state;
    let rows = [
        ("data", data_name(config)),
        ("steps trained", format!("{steps_done}, {} items each", config.batch_size)),
    ];
    page(manifest, &rows)
}

/// A model card: what the manifest says in words, after a few rows of its own.
///
/// * `rows`: what a fact is called, and the fact.
pub(crate) fn page(manifest: &Manifest, rows: &[(&str, String)]) -> String {
    let classes = match manifest.classes.as_slice() {
        [] => "unconditional".to_owned(),
        names => format!("{} classes: {}", names.len(), names.join(", ")),
    };
    let sampler = &manifest.default_sampler;
    let picture = match is_visible(manifest) {
        true => format!("![samples]({})\n\n", Contents::PICTURE),
        false => String::new(),
    };
    let rows: String = rows.iter().map(|(what, fact)| format!("| {what} | {fact} |\n")).collect();
    format!(
        "# {name} {version}\n\n\
         {picture}\
         A diffusion model of samples of shape {shape:?}, {classes}.\n\n\
         | | |\n|---|---|\n\
         {rows}\
         | predicts | {prediction} |\n\
         | process | {process} |\n\
         | variance | {variance} |\n\
         | default sampler | `{sampler}`, {num_steps} steps, grid `{grid}` |\n\n\
         `training.json` has every setting, `ddpm.json` all that a server needs.\n\n\
         ```text\n\
         ddpm-server --models <the folder that holds this one>\n\
         ddpm sample {name} --count 16\n\
         ```\n",
        name = manifest.name,
        version = manifest.version,
        shape = manifest.sample_shape,
        prediction = manifest.prediction.name(),
        process = process(manifest),
        variance = manifest.variance.name(),
        sampler = sampler.sampler,
        num_steps = sampler.num_steps,
        grid = sampler.grid,
    )
}

fn process(manifest: &Manifest) -> String {
    let schedule = &manifest.schedule;
    match schedule.edm {
        Some(edm) => {
            let Edm { sigma_min, sigma_max, sigma_data } = edm;
            format!("EDM, sigma {sigma_min} to {sigma_max}, sigma_data {sigma_data}")
        }
        None if schedule.betas.is_empty() => "straight flow".to_owned(),
        None => format!("{} betas, T = {}", schedule.kind, schedule.betas.len()),
    }
}
