//! What a package is made of, whether it was trained here or comes from another program, and the writing of it.

use std::path::Path;

use ddpm_diffusion::{Network as Meaning, Prediction, Program, Variance};
use ddpm_package::{
    DefaultSampler, Golden, Graphs, Manifest, PackageWriter, ScheduleSpec, Sha256Hex,
};
use tch::Device;

use super::diffusers::Pipeline;
use super::graph::portable;
use super::package::{ExportError, MODEL_CONFIG_KEY, json};
use super::python;
use crate::model::{ModelConfig, Network};
use crate::picture;
use crate::sample::{Request, compile, draw};

/// Path of the graph in a package.
pub(crate) const GRAPH: &str = "unet/model.onnx";
/// Path of the golden vectors.
pub(crate) const GOLDEN: &str = "testdata/golden.safetensors";
const GRID: &str = "samples/grid.png";

/// Everything that becomes a package.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The network, on the CPU.
    pub network: &'a Network,
    /// All but the files, which the writer lists.
    pub manifest: &'a Manifest,
    /// Inputs and outputs of the network.
    pub golden: &'a Golden,
    /// `training.json`: where the model comes from.
    pub provenance: &'a str,
    /// A PNG file of samples, of samples that can be shown.
    pub grid: Option<&'a [u8]>,
    /// The model card; it may show the picture at [`Contents::PICTURE`], if there is one.
    pub readme: &'a str,
    /// Whether the package is a pipeline of diffusers too, which holds the weights once more.
    pub weights: bool,
}

impl Contents<'_> {
    /// Where the picture of samples is in a package.
    pub const PICTURE: &'static str = GRID;

    /// Writes the package whole or not at all, and returns the identity of the model.
    ///
    /// * `overwrite`: whether a package that stands at `target` is replaced.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; a network that was hardly trained is refused, because its outputs are so
    /// small that any graph would pass the golden test.
    pub fn write(&self, target: &Path, overwrite: bool) -> Result<Sha256Hex, ExportError> {
        let mut writer = PackageWriter::new(target, overwrite)?;
        writer.add(GOLDEN, &self.golden.to_safetensors(self.manifest)?)?;
        let model = json(self.network.config())?;
        writer.add(GRAPH, &portable(self.network, &[(MODEL_CONFIG_KEY, model)])?)?;
        writer.attach("training.json", self.provenance.as_bytes())?;
        if let Some(grid) = self.grid {
            writer.attach(GRID, grid)?;
        }
        let pipeline = match self.weights {
            true => Pipeline::of(self.network, self.manifest)?,
            false => Pipeline::LeftOut,
        };
        if let Pipeline::Files(files) = &pipeline {
            for (path, bytes) in files {
                writer.attach(path, bytes)?;
            }
        }
        let readme = self.readme.to_owned() + &python::section(self.manifest, &pipeline);
        writer.attach("README.md", readme.as_bytes())?;
        Ok(writer.finish(self.manifest.clone())?)
    }
}

/// What a manifest says of a model, before there are files.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) model: &'a ModelConfig,
    pub(crate) schedule: ScheduleSpec,
    pub(crate) prediction: Prediction,
    pub(crate) variance: Variance,
    pub(crate) classes: &'a [String],
    pub(crate) default_sampler: DefaultSampler,
}

impl Identity<'_> {
    /// The manifest without its files.
    pub(crate) fn manifest(self) -> Manifest {
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
            golden: GOLDEN.to_owned(),
            files: Vec::new(),
        }
    }
}

/// Whether samples can be shown: points, and pictures in grey or colour.
pub(crate) fn is_visible(manifest: &Manifest) -> bool {
    matches!(manifest.sample_shape[..], [2] | [1 | 3, _, _])
}

/// Draws `count` samples with the default sampler, labels in turn, as a PNG file; none if they cannot be
/// shown.
///
/// # Errors
///
/// [`ExportError::Torch`] if memory is short, [`ExportError::Picture`] if the samples make none.
pub(crate) fn grid(
    network: &Network,
    manifest: &Manifest,
    seed: u64,
    count: usize,
) -> Result<Option<Vec<u8>>, ExportError> {
    if !is_visible(manifest) {
        return Ok(None);
    }
    let meaning: Meaning = manifest.network()?;
    let program: Program = compile(&meaning, manifest.kind, &manifest.default_sampler)?;
    let classes = manifest.classes.len();
    let labels: Option<Vec<i64>> =
        (classes > 0).then(|| (0..count).map(|i| (i % classes) as i64).collect());
    let labels = labels.as_deref();
    let request = Request { program: &program, seed, count, labels, initial: None };
    let samples = draw(network, Device::Cpu, &request)?;
    let text = [("ddpm.model".to_owned(), manifest.name.clone())];
    let picture = picture::png(&samples, &network.config().sample_shape(), &text);
    picture.map(Some).map_err(ExportError::Picture)
}
