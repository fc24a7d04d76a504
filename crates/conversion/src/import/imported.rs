//! An imported model, and its package.

use std::path::Path;

use ddpm_diffusion::{Parameterisation, Prediction, Process, Variance};
use ddpm_network::sample::default_sampler;
use ddpm_network::{ModelConfig, Network};
use ddpm_package::{DefaultSampler, Kind, Manifest, ScheduleSpec};
use tch::{Device, Tensor, nn};

use super::ImportError;
use crate::export::contents::{self, Contents, ModelDescription, Written};
use crate::export::{card, golden, to_json};

/// Pictures of the grid: few, as an imported model may be large and slow.
const GRID_COUNT: usize = 16;
/// Points of the scatter plot.
const SCATTER_COUNT: usize = 2000;
/// Most evaluations of the network for the grid of samples.
const GRID_EVALS: usize = 1000;

/// The meaning of the network's inputs and outputs, and the sampler.
#[derive(Debug, Clone)]
pub struct SamplingSpec {
    /// The forward process.
    pub schedule: ScheduleSpec,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// The sampler of the source, if it names one.
    pub sampler: Option<DefaultSampler>,
}

/// A model of another program.
#[derive(Debug)]
pub struct Imported {
    /// A description of the source: `ddpm-torch checkpoint, moving average of the weights`.
    pub source: String,
    /// Settings of the network.
    pub model: ModelConfig,
    /// Its weights, under the names of [`Network`].
    pub state: Vec<(String, Tensor)>,
    /// Its process, prediction, variance and sampler.
    pub sampling: SamplingSpec,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// A sentence for every setting that neither source nor user supplied.
    pub assumptions: Vec<String>,
}

/// The name of the package, and options for its contents.
#[derive(Debug, Clone, Copy)]
pub struct Packaging<'a> {
    /// Name under which the model is served.
    pub name: &'a str,
    /// Version of the model.
    pub version: &'a str,
    /// Seed of the golden vectors and of the picture of samples.
    pub seed: u64,
    /// Whether the package is a pipeline of diffusers too, with a second copy of the weights.
    pub weights: bool,
    /// Whether to add the graph for CUDA, if the network can have one.
    pub cuda: bool,
}

impl Imported {
    /// Makes the network with its weights, on the CPU.
    ///
    /// # Errors
    ///
    /// [`ImportError::Model`] if the settings are not valid, [`ImportError::State`] if the weights
    /// do not fit them.
    pub fn network(&self) -> Result<Network, ImportError> {
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &self.model)?;
        network.load_state(&self.state)?;
        Ok(network)
    }

    /// Writes the package whole or not at all.
    ///
    /// * `network`: from [`Imported::network`].
    /// * `overwrite`: whether to replace a package at `target`.
    ///
    /// # Errors
    ///
    /// [`ImportError::Export`] if the package cannot be written; [`ImportError::Diffusion`] if the
    /// process is out of range.
    pub fn write(
        &self,
        network: &Network,
        packaging: Packaging<'_>,
        target: &Path,
        overwrite: bool,
    ) -> Result<Written, ImportError> {
        let SamplingSpec { schedule, prediction, variance, sampler } = &self.sampling;
        let parameterisation = Parameterisation {
            process: schedule.process()?,
            prediction: *prediction,
            variance: *variance,
        };
        parameterisation.check()?;
        let kind = self.model.kind();
        let description = ModelDescription {
            name: packaging.name,
            version: packaging.version,
            model: &self.model,
            schedule: schedule.clone(),
            prediction: *prediction,
            variance: *variance,
            classes: &self.classes,
            default_sampler: sampler
                .clone()
                .unwrap_or_else(|| default_sampler(kind, &parameterisation)),
        };
        let manifest = description.manifest();
        // Draw 0 of the seed is for samples, those of the picture among them.
        const GOLDEN_DRAW: u32 = 1;
        let golden = golden::from_noise(network, &manifest, packaging.seed, GOLDEN_DRAW)?;
        let picture = self.picture(network, &parameterisation, &manifest, packaging.seed)?;
        let contents = Contents {
            network,
            manifest: &manifest,
            golden: &golden,
            provenance: &self.provenance(&parameterisation.process)?,
            picture: picture.as_deref(),
            readme: &card::render(&manifest, &self.rows()),
            weights: packaging.weights,
            cuda: packaging.cuda,
        };
        Ok(contents.write(target, overwrite)?)
    }

    /// Draws the picture of samples, in fewer steps where the whole chain would take longer than
    /// the rest of the import.
    fn picture(
        &self,
        network: &Network,
        parameterisation: &Parameterisation,
        manifest: &Manifest,
        seed: u64,
    ) -> Result<Option<Vec<u8>>, ImportError> {
        if manifest.kind == Kind::Points2d {
            return Ok(contents::picture(network, manifest, seed, SCATTER_COUNT)?);
        }
        let mut quick = manifest.clone();
        if GRID_COUNT * manifest.default_sampler.num_steps > GRID_EVALS {
            quick.default_sampler = default_sampler(manifest.kind, parameterisation);
        }
        Ok(contents::picture(network, &quick, seed, GRID_COUNT)?)
    }

    /// Returns the rows of the model card.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("imported from", self.source.clone())];
        rows.extend(self.assumptions.iter().map(|assumed| ("assumed", assumed.clone())));
        rows
    }

    /// Returns `training.json`.
    fn provenance(&self, process: &Process) -> Result<String, ImportError> {
        Ok(to_json(&serde_json::json!({
            "exporter": env!("CARGO_PKG_VERSION"),
            "libtorch": ddpm_torch::VERSION,
            "imported_from": self.source,
            "assumptions": self.assumptions,
            "timesteps": process.timesteps(),
            "model": self.model,
        }))?)
    }
}
