//! The package of an untrained network.

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, Network as Meaning, Noise, Prediction, Schedule, Variance};
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
            .map_err(|error| fault(error.to_string()))?;
        writer.add(GRAPH, &portable(self.network, &[(MODEL_CONFIG_KEY, settings)])?)?;
        if let Some(weights) = weights {
            let file = to_safetensors(weights).map_err(|error| fault(error.to_string()))?;
            writer.attach(WEIGHTS, &file)?;
        }
        writer.attach("README.md", self.readme().as_bytes())?;
        Ok(writer.finish(manifest)?)
    }

    /// All but the files, which the writer lists.
    fn manifest(&self) -> Result<Manifest, ExportError> {
        let Blueprint { name, model, classes } = self.blueprint;
        let schedule = Schedule::linear(TIMESTEPS, BETA_START, BETA_END)?;
        let spec = ScheduleSpec::named(BetaSchedule::Linear, BETA_START, BETA_END, &schedule);
        let variance = variance(model);
        let meaning = Meaning::discrete(schedule, Prediction::Eps, variance);
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
            schedule: spec,
            prediction: Prediction::Eps,
            variance,
            classes: classes.clone(),
            default_sampler: default_sampler(kind, &meaning),
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
        let class_labels: Option<Vec<i64>> = (num_classes > 0).then(|| {
            (0..count).map(|row| ((num_classes + row) % (num_classes + 1)) as i64).collect()
        });
        let labels = class_labels.as_deref();
        let out_sample = forward(self.network, Device::Cpu, &sample, &timestep, labels)?;
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
fn variance(model: &ModelConfig) -> Variance {
    if model.output_shape() == model.sample_shape() {
        Variance::FixedLarge
    } else {
        Variance::Learned
    }
}

/// A part that cannot be written down.
fn fault(reason: String) -> ExportError {
    Error::Manifest { path: ddpm_package::MANIFEST_FILE.into(), reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::random::{blueprint::Choice, weights::randomise};
    use crate::export::read;
    use ddpm_package::Package;
    use tch::nn;

    #[test]
    fn a_package_holds_the_weights_twice_and_golden_outputs_of_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("glyphs-random");
        let blueprint = "glyphs".parse::<Choice>().unwrap().blueprint().unwrap();
        let network =
            Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model).unwrap();
        let weights = randomise(&network, Spread::default(), 1).unwrap();
        let untrained = Untrained {
            blueprint: &blueprint,
            network: &network,
            spread: Spread::default(),
            seed: 1,
        };

        untrained.write(&target, false, Some(&weights)).unwrap();

        let package = Package::open(&target).unwrap();
        let in_graph = read::network(&package.portable_graph().unwrap(), Device::Cpu).unwrap();
        assert_eq!(in_graph.parameters(), network.parameters());
        let attached = std::fs::read(target.join(WEIGHTS)).unwrap();
        assert_eq!(attached, to_safetensors(&weights).unwrap());
        let golden = package.golden().unwrap();
        assert_eq!(golden.class_labels.unwrap()[..3], [16, 0, 1]);
        assert_eq!((golden.timestep[0], *golden.timestep.last().unwrap()), (0.0, 999.0));
        let square_sum: f32 = golden.out_sample.iter().map(|output| output * output).sum();
        assert!((square_sum / golden.out_sample.len() as f32).sqrt() >= 0.05);
        assert!(untrained.write(&target, false, None).is_err(), "it stands there already");
    }
}
