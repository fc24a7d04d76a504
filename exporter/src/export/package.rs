//! Writes the model package of a trained network.
//!
//! ```text
//! ddpm.json                    the manifest
//! unet/model.onnx              the portable graph; its metadata says what the network is made from
//! testdata/golden.safetensors  inputs, and libtorch's outputs
//! training.json                where the model comes from
//! model_index.json scheduler/ unet/config.json unet/diffusion_pytorch_model.safetensors
//!                              the same model for diffusers, if it can express it
//! samples/grid.png README.md   for people
//! ```

use std::io;
use std::path::{Path, PathBuf};

use ddpm_diffusion::Process;
use ddpm_package::{Kind, MANIFEST_FILE, Manifest, ScheduleSpec, Sha256Hex};
use tch::TchError;

use super::contents::{self, Contents, Identity};
use super::graph::GraphError;
use super::{card, golden};
use crate::data::{DataError, Dataset};
use crate::model::Network;
use crate::train::{CheckpointState, DiffusionConfig, TrainError};

/// Key of the graph's metadata under which the network's settings are.
pub const MODEL_CONFIG_KEY: &str = "ddpm.model_config";

/// Pictures of the grid, or points of the scatter plot.
const GRID_COUNT: usize = 64;
const SCATTER_COUNT: usize = 2000;

/// What becomes a package.
#[derive(Debug)]
pub struct Export<'a> {
    /// The trained network, on the CPU.
    pub network: &'a Network,
    /// Where it comes from.
    pub state: &'a CheckpointState,
    /// Data of the kind it was trained on, for the golden vectors.
    pub dataset: &'a Dataset,
    /// Name under which the model is served.
    pub name: &'a str,
    /// Version of the model.
    pub version: &'a str,
    /// Whether the package is a pipeline of diffusers too, which holds the weights once more.
    pub weights: bool,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The network cannot be written as a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The package cannot be written, or its parts do not fit together.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// The run's settings do not fit the network or the data.
    #[error(transparent)]
    Settings(#[from] TrainError),
    /// The process is out of range.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
    /// The data for the golden vectors is not there any more.
    #[error("the golden vectors need data: {0}; if it has moved, name it with --golden-from")]
    Data(#[from] DataError),
    /// The picture of samples cannot be encoded.
    #[error("the picture of samples cannot be made: {0}")]
    Picture(io::Error),
    /// The weights cannot be written down for other programs.
    #[error("the weights cannot be written: {0}")]
    Weights(String),
    /// The system refuses.
    #[error("{}: cannot be written: {cause}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}

impl Export<'_> {
    /// Writes the package whole or not at all, and returns the identity of the model.
    ///
    /// * `overwrite`: whether a package that stands at `target` is replaced.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; a network that was hardly trained is refused, because its outputs are so
    /// small that any graph would pass the golden test.
    pub fn write(&self, target: &Path, overwrite: bool) -> Result<Sha256Hex, ExportError> {
        let config = &self.state.config;
        config.check_data(self.dataset.kind(), self.dataset.class_names())?;
        let manifest = self.manifest()?;
        let count = match manifest.kind {
            Kind::Image => GRID_COUNT,
            Kind::Points2d => SCATTER_COUNT,
        };
        Contents {
            network: self.network,
            manifest: &manifest,
            golden: &golden::of_data(self.network, &manifest, self.dataset, config.seed)?,
            provenance: &card::training(self.state)?,
            grid: contents::grid(self.network, &manifest, config.seed, count)?.as_deref(),
            readme: &card::readme(self.state, &manifest),
            weights: self.weights,
        }
        .write(target, overwrite)
    }

    fn manifest(&self) -> Result<Manifest, ExportError> {
        let config = &self.state.config;
        let DiffusionConfig { beta_schedule, beta_start, beta_end, prediction, variance, .. } =
            config.diffusion;
        let schedule = match config.diffusion.process()? {
            Process::Discrete(schedule) => {
                ScheduleSpec::named(beta_schedule, beta_start, beta_end, &schedule)
            }
            Process::Edm(edm) => ScheduleSpec::edm(edm),
            Process::Flow => ScheduleSpec::flow(),
        };
        let identity = Identity {
            name: self.name,
            version: self.version,
            model: &config.model,
            schedule,
            prediction,
            variance,
            classes: &config.classes,
            default_sampler: config.default_sampler()?,
        };
        Ok(identity.manifest())
    }
}

/// JSON of settings.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, ExportError> {
    let fault = |error: serde_json::Error| ddpm_package::Error::Manifest {
        path: MANIFEST_FILE.into(),
        reason: error.to_string(),
    };
    Ok(serde_json::to_string_pretty(value).map_err(fault)?)
}
