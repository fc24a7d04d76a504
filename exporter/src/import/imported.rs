//! What every importer finds, and the package of it.

use std::path::Path;

use ddpm_diffusion::{Prediction, Process, Variance};
use ddpm_package::{DefaultSampler, Kind, ScheduleSpec, Sha256Hex};
use serde_json::json;
use tch::{Device, Tensor, nn};

use super::ImportError;
use crate::export::contents::{self, Contents, Identity};
use crate::export::{card, golden, package};
use crate::model::{ModelConfig, Network};
use crate::sample::default_sampler;

/// Pictures of the grid; a model of another size than ours may be slow.
const GRID_COUNT: usize = 16;
/// Points of the scatter plot.
const SCATTER_COUNT: usize = 2000;
/// Most evaluations of the network that the grid of samples may take.
const GRID_EVALS: usize = 1000;

/// What inputs and outputs of the network mean, and how to sample.
#[derive(Debug, Clone)]
pub struct Meaning {
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
    /// What it was, in words: `ddpm-torch checkpoint, moving average`.
    pub source: String,
    /// The network.
    pub model: ModelConfig,
    /// Its weights, under our names.
    pub state: Vec<(String, Tensor)>,
    /// What goes in and comes out.
    pub meaning: Meaning,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// A sentence for everything that neither source nor user said.
    pub assumptions: Vec<String>,
}

/// What the package is called, and what goes into it.
#[derive(Debug, Clone, Copy)]
pub struct Packaging<'a> {
    /// Name under which the model is served.
    pub name: &'a str,
    /// Version of the model.
    pub version: &'a str,
    /// Seed of the golden vectors and of the picture of samples.
    pub seed: u64,
    /// Whether the package is a pipeline of diffusers too, which holds the weights once more.
    pub weights: bool,
}

impl Imported {
    /// The network with its weights, on the CPU.
    ///
    /// # Errors
    ///
    /// [`ImportError::Model`] if the settings make none, [`ImportError::State`] if the weights are not
    /// its own.
    pub fn network(&self) -> Result<Network, ImportError> {
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &self.model)?;
        network.load_state(&self.state)?;
        Ok(network)
    }

    /// Writes the package whole or not at all, and returns the identity of the model.
    ///
    /// * `network`: as [`Imported::network`] gives it.
    /// * `overwrite`: whether a package that stands at `target` is replaced.
    ///
    /// # Errors
    ///
    /// [`ImportError::Export`] with what cannot be written; [`ImportError::Diffusion`] if the process is
    /// out of range.
    pub fn write(
        &self,
        network: &Network,
        packaging: Packaging<'_>,
        target: &Path,
        overwrite: bool,
    ) -> Result<Sha256Hex, ImportError> {
        let Meaning { schedule, prediction, variance, sampler } = &self.meaning;
        let meaning = ddpm_diffusion::Network {
            process: schedule.process()?,
            prediction: *prediction,
            variance: *variance,
        };
        meaning.check()?;
        let kind = self.model.kind();
        let identity = Identity {
            name: packaging.name,
            version: packaging.version,
            model: &self.model,
            schedule: schedule.clone(),
            prediction: *prediction,
            variance: *variance,
            classes: &self.classes,
            default_sampler: sampler.clone().unwrap_or_else(|| default_sampler(kind, &meaning)),
        };
        let manifest = identity.manifest();
        // Samples are draw 0 of the seed, the picture's among them.
        const GOLDEN_DRAW: u32 = 1;
        let golden = golden::of_noise(network, &manifest, packaging.seed, GOLDEN_DRAW)?;
        let grid = self.grid(network, &meaning, &manifest, packaging.seed)?;
        let contents = Contents {
            network,
            manifest: &manifest,
            golden: &golden,
            provenance: &self.provenance(&meaning.process)?,
            grid: grid.as_deref(),
            readme: &card::page(&manifest, &self.rows()),
            weights: packaging.weights,
        };
        Ok(contents.write(target, overwrite)?)
    }

    /// The whole chain of a large network would take longer than all the rest: its picture is drawn in
    /// fewer steps.
    fn grid(
        &self,
        network: &Network,
        meaning: &ddpm_diffusion::Network,
        manifest: &ddpm_package::Manifest,
        seed: u64,
    ) -> Result<Option<Vec<u8>>, ImportError> {
        if manifest.kind == Kind::Points2d {
            return Ok(contents::grid(network, manifest, seed, SCATTER_COUNT)?);
        }
        let mut quick = manifest.clone();
        if GRID_COUNT * manifest.default_sampler.num_steps > GRID_EVALS {
            quick.default_sampler = default_sampler(manifest.kind, meaning);
        }
        Ok(contents::grid(network, &quick, seed, GRID_COUNT)?)
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("imported from", self.source.clone())];
        rows.extend(self.assumptions.iter().map(|assumed| ("assumed", assumed.clone())));
        rows
    }

    fn provenance(&self, process: &Process) -> Result<String, ImportError> {
        Ok(package::json(&json!({
            "exporter": env!("CARGO_PKG_VERSION"),
            "libtorch": "2.11.0",
            "imported_from": self.source,
            "assumptions": self.assumptions,
            "timesteps": process.timesteps(),
            "model": self.model,
        }))?)
    }
}
