//! Words for people: where a model comes from, and how to use it.

use std::path::PathBuf;

use ddpm_diffusion::Edm;
use ddpm_package::Manifest;
use serde_json::json;

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

/// The model card.
pub(super) fn readme(state: &CheckpointState, manifest: &Manifest, picture: &str) -> String {
    let CheckpointState { steps_done, config, .. } = state;
    let classes = match manifest.classes.as_slice() {
        [] => "unconditional".to_owned(),
        names => format!("{} classes: {}", names.len(), names.join(", ")),
    };
    let sampler = &manifest.default_sampler;
    format!(
        "# {name} {version}\n\n\
         ![samples]({picture})\n\n\
         A diffusion model of samples of shape {shape:?}, {classes}.\n\n\
         | | |\n|---|---|\n\
         | data | {data} |\n\
         | steps trained | {steps_done}, {batch} items each |\n\
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
        data = data_name(config),
        batch = config.batch_size,
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
