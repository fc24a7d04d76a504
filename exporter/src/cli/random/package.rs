//! Writes the package of a network with random weights.

use std::path::Path;

use ddpm_conversion::export::contents::{GOLDEN, GRAPH, ModelDescription, Written};
use ddpm_conversion::export::graph::{MODEL_CONFIG_KEY, portable};
use ddpm_conversion::export::variants::add_cuda;
use ddpm_conversion::export::{ExportError, golden};
use ddpm_diffusion::{BetaSchedule, Parameterisation, Prediction, Schedule, Variance};
use ddpm_network::sample::default_sampler;
use ddpm_network::{ModelConfig, Network};
use ddpm_package::{Error, Manifest, PackageWriter, ScheduleSpec};

use super::blueprint::Blueprint;
use super::weights::{DrawnParameter, Spread, to_safetensors};

const WEIGHTS: &str = "weights.safetensors";

/// The schedule of Ho et al. 2020.
const TIMESTEPS: usize = 1000;
const BETA_START: f64 = 1e-4;
const BETA_END: f64 = 0.02;

/// Noise draw of the golden samples; the weights use draw 0.
const GOLDEN_DRAW: u32 = 1;

/// A network with random weights to package.
pub(super) struct Untrained<'a> {
    pub(super) blueprint: &'a Blueprint,
    /// On the CPU, with its weights drawn.
    pub(super) network: &'a Network,
    pub(super) spread: Spread,
    pub(super) seed: u64,
    /// Whether to add the graph for CUDA, if the network can have one.
    pub(super) cuda: bool,
}

impl Untrained<'_> {
    /// Writes the package whole or not at all.
    ///
    /// * `overwrite`: whether to replace an existing package at `target`.
    /// * `weights`: written to a separate file if present.
    ///
    /// # Errors
    ///
    /// [`ExportError`] if the network cannot be served, or the package cannot be written.
    pub(super) fn write(
        &self,
        target: &Path,
        overwrite: bool,
        weights: Option<&[DrawnParameter]>,
    ) -> Result<Written, ExportError> {
        let (mut manifest, mut left_out) = (self.manifest()?, Vec::new());
        let mut writer = PackageWriter::new(target, overwrite)?;
        let golden = golden::from_noise(self.network, &manifest, self.seed, GOLDEN_DRAW)?;
        writer.add(GOLDEN, &golden.to_safetensors(&manifest)?)?;
        let settings = serde_json::to_string_pretty(&self.blueprint.model)
            .map_err(|error| manifest_error(error.to_string()))?;
        writer.add(GRAPH, &portable(self.network, &[(MODEL_CONFIG_KEY, settings)])?)?;
        if self.cuda {
            left_out.extend(add_cuda(&mut writer, &mut manifest, self.network, &golden)?);
        }
        if let Some(weights) = weights {
            let file =
                to_safetensors(weights).map_err(|error| manifest_error(error.to_string()))?;
            writer.attach(WEIGHTS, &file)?;
        }
        writer.attach("README.md", self.readme().as_bytes())?;
        Ok(Written { digest: writer.finish(manifest)?, left_out })
    }

    /// Returns the manifest without its files, which the writer lists.
    fn manifest(&self) -> Result<Manifest, ExportError> {
        let Blueprint { name, model, classes } = self.blueprint;
        let schedule = Schedule::linear(TIMESTEPS, BETA_START, BETA_END)?;
        let spec = ScheduleSpec::named(BetaSchedule::Linear, BETA_START, BETA_END, &schedule);
        let variance = variance(model);
        let parameterisation = Parameterisation::discrete(schedule, Prediction::Eps, variance);
        let description = ModelDescription {
            name,
            version: &format!("spread-{}-seed-{}", self.spread, self.seed),
            model,
            schedule: spec,
            prediction: Prediction::Eps,
            variance,
            classes,
            default_sampler: default_sampler(model.kind(), &parameterisation),
        };
        Ok(description.manifest())
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

/// Returns a learned variance if the network outputs more channels than its samples have.
fn variance(model: &ModelConfig) -> Variance {
    if model.output_shape() == model.sample_shape() {
        Variance::FixedLarge
    } else {
        Variance::Learned
    }
}

/// Reports a part of the package that cannot be serialised.
fn manifest_error(reason: String) -> ExportError {
    Error::Manifest { path: ddpm_package::MANIFEST_FILE.into(), reason }.into()
}

#[cfg(test)]
mod tests {
    use ddpm_conversion::export::read;
    use ddpm_package::{GraphName, Package};
    use tch::{Device, nn};

    use super::*;
    use crate::cli::random::blueprint::NetworkSource;
    use crate::cli::random::weights::randomise;

    #[test]
    fn a_package_holds_the_weights_twice_and_golden_outputs_away_from_zero() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("glyphs-random");
        let blueprint = "glyphs".parse::<NetworkSource>().unwrap().blueprint().unwrap();
        let network =
            Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model).unwrap();
        let weights = randomise(&network, Spread::default(), 1).unwrap();
        let untrained = Untrained {
            blueprint: &blueprint,
            network: &network,
            spread: Spread::default(),
            seed: 1,
            cuda: true,
        };

        untrained.write(&target, false, Some(&weights)).unwrap();

        let package = Package::open(&target).unwrap();
        assert_eq!(package.manifest().graph_names(), [GraphName::Portable, GraphName::Cuda]);
        let in_graph = read::network(&package.portable_graph().unwrap(), Device::Cpu).unwrap();
        assert_eq!(in_graph.parameters(), network.parameters());
        let attached = std::fs::read(target.join(WEIGHTS)).unwrap();
        assert_eq!(attached, to_safetensors(&weights).unwrap());
        let golden = package.golden().unwrap();
        assert_eq!(golden.class_labels.unwrap()[..3], [16, 0, 1]);
        assert_eq!((golden.timestep[0], *golden.timestep.last().unwrap()), (0.0, 999.0));
        let square_sum: f32 = golden.out_sample.iter().map(|output| output * output).sum();
        assert!((square_sum / golden.out_sample.len() as f32).sqrt() >= 0.05);
        assert!(untrained.write(&target, false, None).is_err(), "the package already exists");
    }
}
