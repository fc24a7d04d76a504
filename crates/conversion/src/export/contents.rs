//! Writes the package of a trained or imported model.

use std::path::Path;

use ddpm_diffusion::{Parameterisation, Prediction, Program, Variance};
use ddpm_network::sample::{DrawRequest, compile, draw, labels_in_turn};
use ddpm_network::{ModelConfig, Network};
use ddpm_package::{
    DefaultSampler, Golden, GraphName, Graphs, Manifest, PackageWriter, ScheduleSpec, Sha256Hex,
};
use ddpm_pictures::sheet;
use tch::Device;

use super::diffusers::Pipeline;
use super::graph::{MODEL_CONFIG_KEY, portable};
use super::variants::{LeftOut, add_cuda};
use super::{ExportError, python, to_json};

/// Path of the graph in a package.
pub const GRAPH: &str = GraphName::Portable.path();
/// Path of the golden vectors.
pub const GOLDEN: &str = "testdata/golden.safetensors";

/// Everything that goes into a package.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The network, on the CPU.
    pub network: &'a Network,
    /// The manifest without its files, which the writer lists.
    pub manifest: &'a Manifest,
    /// Inputs and outputs of the network, to check it with.
    pub golden: &'a Golden,
    /// `training.json`: the origin of the model.
    pub provenance: &'a str,
    /// A picture of samples as a PNG file, if they can be shown; see [`picture`].
    pub picture: Option<&'a [u8]>,
    /// The model card; it may link to the picture at [`Contents::PICTURE`].
    pub readme: &'a str,
    /// Whether the package is a pipeline of diffusers too, with a second copy of the weights.
    pub weights: bool,
    /// Whether to add the graph for CUDA, if the network can have one.
    pub cuda: bool,
}

/// A package that was written.
#[derive(Debug)]
pub struct Written {
    /// The identity of the model.
    pub digest: Sha256Hex,
    /// The graphs that were asked for and that the network cannot have.
    pub left_out: Vec<LeftOut>,
}

impl Contents<'_> {
    /// Path of the picture of samples in a package.
    pub const PICTURE: &'static str = "samples/grid.png";

    /// Writes the package whole or not at all.
    ///
    /// * `overwrite`: whether to replace a package at `target`.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; a network that was hardly trained is refused, because its outputs are so
    /// small that any graph would pass the check of the golden vectors.
    pub fn write(&self, target: &Path, overwrite: bool) -> Result<Written, ExportError> {
        let mut writer = PackageWriter::new(target, overwrite)?;
        writer.add(GOLDEN, &self.golden.to_safetensors(self.manifest)?)?;
        let model = to_json(self.network.config())?;
        writer.add(GRAPH, &portable(self.network, &[(MODEL_CONFIG_KEY, model)])?)?;
        let (mut manifest, mut left_out) = (self.manifest.clone(), Vec::new());
        if self.cuda {
            left_out.extend(add_cuda(&mut writer, &mut manifest, self.network, self.golden)?);
        }
        writer.attach("training.json", self.provenance.as_bytes())?;
        if let Some(picture) = self.picture {
            writer.attach(Self::PICTURE, picture)?;
        }
        let pipeline = match self.weights {
            true => Pipeline::new(self.network, self.manifest)?,
            false => Pipeline::LeftOut,
        };
        if let Pipeline::Files(files) = &pipeline {
            for (path, bytes) in files {
                writer.attach(path, bytes)?;
            }
        }
        let readme = self.readme.to_owned() + &python::section(self.manifest, &pipeline);
        writer.attach("README.md", readme.as_bytes())?;
        Ok(Written { digest: writer.finish(manifest)?, left_out })
    }
}

/// The facts about a model in its manifest: everything but the files.
#[derive(Debug)]
pub struct ModelDescription<'a> {
    /// Name under which the model is served.
    pub name: &'a str,
    /// Version of the model.
    pub version: &'a str,
    /// Settings of the network.
    pub model: &'a ModelConfig,
    /// The forward process.
    pub schedule: ScheduleSpec,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// Names of the classes, in the order of their labels.
    pub classes: &'a [String],
    /// The sampler of requests that name none.
    pub default_sampler: DefaultSampler,
}

impl ModelDescription<'_> {
    /// Returns the manifest without its files, which a package writer adds.
    pub fn manifest(self) -> Manifest {
        Manifest {
            manifest_version: Manifest::VERSION.to_owned(),
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            kind: self.model.kind(),
            sample_shape: self.model.sample_shape().iter().map(|&axis| axis as usize).collect(),
            schedule: self.schedule,
            prediction: self.prediction,
            variance: self.variance,
            classes: self.classes.to_vec(),
            default_sampler: self.default_sampler,
            graphs: Graphs { portable: GRAPH.to_owned() },
            variants: Vec::new(),
            golden: GOLDEN.to_owned(),
            files: Vec::new(),
        }
    }
}

/// Returns whether samples can be shown: points, and pictures in grey or colour.
pub(super) fn is_visible(manifest: &Manifest) -> bool {
    matches!(manifest.sample_shape[..], [2] | [1 | 3, _, _])
}

/// Draws `count` samples with the default sampler, labels in turn, as a PNG file: a grid of
/// pictures, or a scatter plot of points. Returns `None` if samples cannot be shown.
///
/// # Errors
///
/// [`ExportError::Diffusion`] if the default sampler does not suit the network,
/// [`ExportError::Torch`] if memory is short, [`ExportError::Picture`] if the PNG cannot be
/// encoded.
pub fn picture(
    network: &Network,
    manifest: &Manifest,
    seed: u64,
    count: usize,
) -> Result<Option<Vec<u8>>, ExportError> {
    if !is_visible(manifest) {
        return Ok(None);
    }
    let parameterisation: Parameterisation = manifest.parameterisation()?;
    let program: Program = compile(&parameterisation, manifest.kind, &manifest.default_sampler)?;
    let labels = labels_in_turn(manifest.classes.len(), count);
    let labels = labels.as_deref();
    let request = DrawRequest { program: &program, seed, count, labels, initial: None };
    let samples = draw(network, Device::Cpu, &request)?;
    let text = [("ddpm.model".to_owned(), manifest.name.clone())];
    let png = sheet::png(&samples, &network.config().sample_shape(), &text);
    png.map(Some).map_err(ExportError::Picture)
}
