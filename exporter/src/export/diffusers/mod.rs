//! A package is a folder of the diffusers library too, whenever that library can express the model.
//!
//! ```text
//! model_index.json                           a DDPMPipeline of the two below
//! scheduler/scheduler_config.json            `scheduler`
//! unet/config.json                           `config`
//! unet/diffusion_pytorch_model.safetensors   `state`
//! ```
//!
//! These files are for other programs: the server reads none of them, and they are no part of the model's
//! identity.

mod config;

mod scheduler;

mod state;

use std::collections::HashMap;

use ddpm_package::Manifest;
use serde_json::json;

use super::package::{ExportError, json};
use crate::model::Network;
use crate::train::serialize_with;

/// The version whose formats these are.
pub(crate) const VERSION: &str = "0.42.1";

/// The files of a pipeline, or a sentence that says why there are none.
#[derive(Debug)]
pub(crate) enum Pipeline {
    /// Path in the package, and bytes.
    Files(Vec<(&'static str, Vec<u8>)>),
    /// What diffusers lacks.
    Inexpressible(String),
    /// The user did not want them.
    LeftOut,
}

impl Pipeline {
    /// Makes the files of a model.
    ///
    /// # Errors
    ///
    /// [`ExportError`] if the weights cannot be written down.
    pub(crate) fn of(network: &Network, manifest: &Manifest) -> Result<Self, ExportError> {
        let settings = config::unet(network.config())
            .and_then(|unet| Ok((unet, scheduler::config(manifest)?)));
        let (unet, scheduler) = match settings {
            Ok(settings) => settings,
            Err(reason) => return Ok(Self::Inexpressible(reason)),
        };
        let index = json!({
            "_class_name": "DDPMPipeline",
            "_diffusers_version": VERSION,
            "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        // Without this note diffusers refuses the file.
        let note = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let weights = serialize_with(&state::under_their_names(network)?, Some(note))
            .map_err(|error| ExportError::Weights(error.to_string()))?;
        Ok(Self::Files(vec![
            ("model_index.json", json(&index)?.into_bytes()),
            ("scheduler/scheduler_config.json", json(&scheduler)?.into_bytes()),
            ("unet/config.json", json(&unet)?.into_bytes()),
            ("unet/diffusion_pytorch_model.safetensors", weights),
        ]))
    }
}
