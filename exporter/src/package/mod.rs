//! Writes the model package of a trained network:
//!
//! ```text
//! ddpm.json                    the manifest
//! unet/model.onnx              the portable graph; its metadata holds the network's settings
//! unet/model.cuda.onnx         the graph for CUDA, of pictures
//! testdata/golden.safetensors  inputs, and libtorch's outputs for them
//! training.json                provenance of the model
//! model_index.json scheduler/ unet/config.json unet/diffusion_pytorch_model.safetensors
//!                              the same model for diffusers, if diffusers can express it
//! samples/grid.png README.md   for people
//! ```

mod card;

use std::path::Path;

use ddpm_conversion::export::contents::{self, Contents, ModelDescription, Written};
use ddpm_conversion::export::{ExportError, finite, golden};
use ddpm_data::{DataError, Dataset};
use ddpm_diffusion::Process;
use ddpm_network::Network;
use ddpm_package::{Kind, Manifest, ScheduleSpec};
use ddpm_training::{CheckpointState, DiffusionConfig, TrainError};

/// Number of pictures in the grid, or of points in the scatter plot.
const GRID_COUNT: usize = 64;
const SCATTER_COUNT: usize = 2000;

/// A trained network to package.
#[derive(Debug)]
pub struct Export<'a> {
    /// The trained network, on the CPU.
    pub network: &'a Network,
    /// Its provenance.
    pub state: &'a CheckpointState,
    /// Data like its training data, for the golden vectors.
    pub dataset: &'a Dataset,
    /// Name to serve the model under.
    pub name: &'a str,
    /// Version of the model.
    pub version: &'a str,
    /// Whether the package is also a diffusers pipeline, which stores the weights a second time.
    pub weights: bool,
    /// Whether to add the graph for CUDA, if the network can have one.
    pub cuda: bool,
}

/// Why a run cannot become a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The run's settings do not fit the network or the data.
    #[error(transparent)]
    Settings(#[from] TrainError),
    /// The data for the golden vectors cannot be loaded.
    #[error("the golden vectors need data: {0}; if it has moved, name it with --golden-from")]
    Data(#[from] DataError),
    /// The package cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl Export<'_> {
    /// Writes the package whole or not at all.
    ///
    /// * `overwrite`: whether to replace an existing package at `target`.
    ///
    /// # Errors
    ///
    /// [`PackageError`]. A barely trained network is refused, because its outputs are so small that
    /// any graph would pass the golden test; so is one with weights that are not finite.
    pub fn write(&self, target: &Path, overwrite: bool) -> Result<Written, PackageError> {
        let config = &self.state.config;
        finite::check(self.network)?;
        config.check_data(self.dataset.kind(), self.dataset.class_names())?;
        let manifest = self.manifest()?;
        let count = match manifest.kind {
            Kind::Image => GRID_COUNT,
            Kind::Points2d => SCATTER_COUNT,
        };
        let provenance = card::training(self.state)?;
        let golden = golden::from_data(self.network, &manifest, self.dataset, config.seed)?;
        let picture = contents::picture(self.network, &manifest, config.seed, count)?;
        let readme = card::readme(self.state, &manifest);
        let contents = Contents {
            network: self.network,
            manifest: &manifest,
            golden: &golden,
            provenance: &provenance,
            picture: picture.as_deref(),
            readme: &readme,
            weights: self.weights,
            cuda: self.cuda,
        };
        Ok(contents.write(target, overwrite)?)
    }

    fn manifest(&self) -> Result<Manifest, PackageError> {
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
        let description = ModelDescription {
            name: self.name,
            version: self.version,
            model: &config.model,
            schedule,
            prediction,
            variance,
            classes: &config.classes,
            default_sampler: config.default_sampler()?,
        };
        Ok(description.manifest())
    }
}
