//! The package of an untrained network.

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, Noise, Prediction, Schedule, Variance};
use ddpm_package::{Error, Golden, Graphs, Kind, Manifest, PackageWriter, ScheduleSpec, Sha256Hex};
use tch::Device;

use super::blueprint::Blueprint;
use super::weights::{Drawn, Spread, to_safetensors};
use crate::export::graph::portable;
use crate::export::package::{ExportError, MODEL_CONFIG_KEY};
use crate::model::{ModelConfig, Network};
use crate::sample::{default_sampler, forward};

const GRAPH: &str = "unet/model.onnx";
const GOLDEN: &str = "testdata/golden.safetensors";
const WEIGHTS: &str = "weights.safetensors";

/// The schedule of Ho et al. 2020.
const TIMESTEPS: usize = 1000;
const BETA_START: f64 = 1e-4;
const BETA_END: f64 = 0.02;

/// Golden rows: fewer for large samples, enough to cover the range of t.
const GOLDEN_ROWS: std::ops::RangeInclusive<usize> = 4..=16;
/// Numbers that the golden samples should not exceed.
const GOLDEN_ELEMENTS: usize = 1 << 16;
/// Which noise the golden samples are; the weights are draw 0.
const GOLDEN_DRAW: u32 = 1;

/// What becomes a package.
pub(super) struct Untrained<'a> {
    pub(super) blueprint: &'a Blueprint,
    /// On the CPU, its weights drawn.
    pub(super) network: &'a Network,
    pub(super) spread: Spread,
    pub(super) seed: u64,
}

impl Untrained<'_> {
    /// Writes the package whole or not at all, and returns the identity of the model.
    ///
    /// * `overwrite`: whether a package that stands at `target` is replaced.
    /// * `weights`: attached as a file of their own.
    ///
    /// # Errors
    ///
    /// [`ExportError`] if the network is no model that can be served, or cannot be written.
    pub(super) fn write(
        &self,
        target: &Path,
        overwrite: bool,
        weights: Option<&[Drawn]>,
    ) -> Result<Sha256Hex, ExportError> {
        let manifest = self.manifest()?;
        let mut writer = PackageWriter::new(target, overwrite)?;
        writer.add(GOLDEN, &self.golden(&manifest)?.to_safetensors(&manifest)?)?;
        let settings = serde_json::to_string_pretty(&self.blueprint.model)
            .map_err(|error| not_a_model(error.to_string()))?;
        writer.add(GRAPH, &portable(self.network, &[(MODEL_CONFIG_KEY, settings)])?)?;
        if let Some(weights) = weights {
            let file = to_safetensors(weights).map_err(|error| not_a_model(error.to_string()))?;
            writer.attach(WEIGHTS, &file)?;
        }
        writer.attach("README.md", self.readme().as_bytes())?;
        Ok(writer.finish(manifest)?)
    }

    /// All but the files, which the writer lists.
    fn manifest(&self) -> Result<Manifest, ExportError> {
        let Blueprint { name, model, classes } = self.blueprint;
        let schedule = Schedule::linear(TIMESTEPS, BETA_START, BETA_END)?;
        let kind = match model {
            ModelConfig::Unet(_) => Kind::Image,
            ModelConfig::Toy(_) => Kind::Points2d,
        };
        Ok(Manifest {
            manifest_version: Manifest::VERSION.to_owned(),
            name: name.clone(),
            version: format!("spread-{}-seed-{}", self.spread, self.seed),
            kind,
            sample_shape: model.sample_shape().iter().map(|&extent| extent as usize).collect(),
            schedule: ScheduleSpec::named(BetaSchedule::Linear, BETA_START, BETA_END, &schedule),
            prediction: Prediction::Eps,
            variance: variance(model)?,
            classes: classes.clone(),
            default_sampler: default_sampler(kind, Prediction::Eps, TIMESTEPS),
            graphs: Graphs { portable: GRAPH.to_owned() },
            golden: GOLDEN.to_owned(),
            files: Vec::new(),
        })
    }

    /// What libtorch says to standard normal samples, which is what x_t is of data of unit
    /// variance; timesteps from 0 to T − 1, all labels in turn, "none" included.
    fn golden(&self, manifest: &Manifest) -> Result<Golden, ExportError> {
        let (len, num_classes) = (manifest.sample_len(), manifest.classes.len());
        let count = (GOLDEN_ELEMENTS / len).clamp(*GOLDEN_ROWS.start(), *GOLDEN_ROWS.end());
        let noise = Noise::new(self.seed);
        let mut sample = vec![0.0; count * len];
        for (row, x_t) in sample.chunks_exact_mut(len).enumerate() {
            noise.normal(row as u64, GOLDEN_DRAW, x_t);
        }
        let timestep: Vec<f32> =
            (0..count).map(|row| (row * (TIMESTEPS - 1) / (count - 1)) as f32).collect();
        let class_labels = (num_classes > 0).then(|| {
            (0..count).map(|row| ((num_classes + row) % (num_classes + 1)) as i64).collect()
        });
        let labels: Option<&Vec<i64>> = class_labels.as_ref();
        let out_sample =
            forward(self.network, Device::Cpu, &sample, &timestep, labels.map(Vec::as_slice))?;
        Ok(Golden { count, sample, timestep, class_labels, out_sample })
    }

    fn readme(&self) -> String {
        let Self { blueprint, spread, seed, .. } = self;
        format!(
            "# {}\n\nAn untrained network, for benchmarks and checks of devices: its samples show \
             nothing. Its weights are random numbers of spread {spread}, seed {seed}.\n",
            blueprint.name
        )
    }
}

/// By what the network's outputs have room for.
fn variance(model: &ModelConfig) -> Result<Variance, ExportError> {
    let (input, output) = (model.sample_shape()[0], model.output_shape()[0]);
    match output {
        _ if output == input => Ok(Variance::FixedLarge),
        _ if output == 2 * input => Ok(Variance::Learned),
        _ => Err(not_a_model(format!(
            "the network has {input} channels in and {output} out: make it as many out, or twice \
             as many for a learned variance"
        ))),
    }
}

fn not_a_model(reason: String) -> ExportError {
    Error::Manifest { path: ddpm_package::MANIFEST_FILE.into(), reason }.into()
}
