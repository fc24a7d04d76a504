//! The package as a folder of the diffusers library, where that library can express the model.
//!
//! ```text
//! model_index.json                           a DDPMPipeline of the two below
//! scheduler/scheduler_config.json            `scheduler`
//! unet/config.json                           `config`
//! unet/diffusion_pytorch_model.safetensors   `state`
//! ```
//!
//! These files are for other programs: the server does not read them, and they are not part of the
//! model's identity.

mod version;

mod config;

mod scheduler;

mod state;

use std::collections::HashMap;

use ddpm_network::Network;
use ddpm_network::tensors::serialize_with_metadata;
use ddpm_package::Manifest;
use serde_json::json;

use super::{ExportError, to_json};
use version::VERSION;

/// The files of a pipeline, or the reason why there are none.
#[derive(Debug)]
pub(crate) enum Pipeline {
    /// Paths in the package, and bytes.
    Files(Vec<(&'static str, Vec<u8>)>),
    /// A sentence about what diffusers lacks.
    Inexpressible(String),
    /// The user did not want them.
    LeftOut,
}

impl Pipeline {
    /// Makes the files of a model, or finds what diffusers lacks.
    ///
    /// # Errors
    ///
    /// [`ExportError`] if the weights cannot be written.
    pub(crate) fn new(network: &Network, manifest: &Manifest) -> Result<Self, ExportError> {
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
        // Without this entry diffusers refuses the file.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let weights = serialize_with_metadata(&state::renamed(network)?, Some(metadata))
            .map_err(|error| ExportError::Weights(error.to_string()))?;
        Ok(Self::Files(vec![
            ("model_index.json", to_json(&index)?.into_bytes()),
            ("scheduler/scheduler_config.json", to_json(&scheduler)?.into_bytes()),
            ("unet/config.json", to_json(&unet)?.into_bytes()),
            ("unet/diffusion_pytorch_model.safetensors", weights),
        ]))
    }
}
