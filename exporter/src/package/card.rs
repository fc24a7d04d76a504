//! Provenance of a trained model: `training.json`, and the rows of its model card.

use std::path::PathBuf;

use ddpm_conversion::export::{ExportError, card, to_json};
use ddpm_package::Manifest;
use ddpm_training::{CheckpointState, TrainConfig};

/// Returns `training.json`: the run's settings, without the folders of the machine it trained on.
pub(crate) fn training(state: &CheckpointState) -> Result<String, ExportError> {
    let mut config = state.config.clone();
    config.data.source = data_name(&config);
    to_json(&serde_json::json!({
        "exporter": env!("CARGO_PKG_VERSION"),
        "libtorch": ddpm_torch::VERSION,
        "steps_done": state.steps_done,
        "loss": state.loss,
        "config": config,
    }))
}

/// Names the data without its folder: `mnist:digits` for `mnist:/home/me/digits`.
fn data_name(config: &TrainConfig) -> String {
    let Ok(mut source) = config.data.source() else { return config.data.source.clone() };
    if let Some(path) = source.path_mut() {
        *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    }
    source.to_string()
}

/// Returns the model card of a run.
pub(crate) fn readme(state: &CheckpointState, manifest: &Manifest) -> String {
    let CheckpointState { steps_done, config, .. } = state;
    let rows = [
        ("data", data_name(config)),
        ("steps trained", format!("{steps_done}, {} items each", config.batch_size)),
    ];
    card::render(manifest, &rows)
}
