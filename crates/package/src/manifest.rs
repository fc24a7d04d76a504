//! `ddpm.json`: what serving needs to know about a model.
//!
//! Unknown keys are ignored, so that a newer minor version can be read; an
//! unknown major version is refused.

use std::path::Path;

use ddpm_diffusion::{
    BetaSchedule, Edm, GridSpec, Parameterisation, Prediction, Process, Recipe, Sampler, Schedule,
    Variance,
};
use serde::{Deserialize, Serialize};

use crate::{Error, GraphName, Sha256Hex, Variant};

/// Name of the manifest in a package.
pub const MANIFEST_FILE: &str = "ddpm.json";

/// Describes the content of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format, `MAJOR.MINOR`.
    pub manifest_version: String,
    /// Name under which the model is served: 1 to 64 of `a-z 0-9 . _ -`.
    pub name: String,
    /// Version of the model, free text of 1 to 64 printable characters.
    pub version: String,
    /// Kind of sample.
    pub kind: Kind,
    /// Shape of one sample: channels, height, width; 2 for points.
    pub sample_shape: Vec<usize>,
    /// The noise schedule.
    pub schedule: ScheduleSpec,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// Names of the classes, in the order of their labels; empty if unconditional.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Used if a request names no sampler.
    pub default_sampler: DefaultSampler,
    /// The network in its portable form.
    pub graphs: Graphs,
    /// The network in other forms; absent before version 1.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// Path of the golden vectors.
    pub golden: String,
    /// Every other file of the package.
    pub files: Vec<FileEntry>,
}

/// Kind of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A picture, `[channels, height, width]` in [−1, 1].
    Image,
    /// A point of the plane, `[2]`.
    Points2d,
}

/// The forward process. For a schedule its betas decide; the other fields say where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Name of the rule for the betas, or `explicit`; `edm` or `flow` for networks on continuous
    /// noise.
    pub kind: String,
    /// β at t = 0, if the rule uses it.
    #[serde(default)]
    pub beta_start: f64,
    /// β at t = T−1, if the rule uses it.
    #[serde(default)]
    pub beta_end: f64,
    /// β_0 … β_{T−1}; empty for `edm` and `flow`.
    #[serde(default)]
    pub betas: Vec<f64>,
    /// For `edm`: the noise levels that the network knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edm: Option<Edm>,
}

impl ScheduleSpec {
    /// Describes a schedule made by a named rule.
    #[must_use]
    pub fn named(kind: BetaSchedule, beta_start: f64, beta_end: f64, schedule: &Schedule) -> Self {
        let betas = schedule.betas().to_vec();
        Self { kind: kind.name().into(), beta_start, beta_end, betas, edm: None }
    }

    /// Describes EDM's continuous noise.
    #[must_use]
    pub fn edm(edm: Edm) -> Self {
        Self { edm: Some(edm), ..Self::continuous("edm") }
    }

    /// Describes the straight line from data to noise.
    #[must_use]
    pub fn flow() -> Self {
        Self::continuous("flow")
    }

    fn continuous(kind: &str) -> Self {
        Self { kind: kind.into(), beta_start: 0.0, beta_end: 0.0, betas: Vec::new(), edm: None }
    }

    /// Builds the process that this describes.
    ///
    /// # Errors
    ///
    /// If the numbers are out of range, or `edm` lacks them.
    pub fn process(&self) -> Result<Process, ddpm_diffusion::Error> {
        match (self.kind.as_str(), self.edm) {
            ("edm", Some(edm)) => Ok(Process::Edm(edm.check()?)),
            ("edm", None) => Err(ddpm_diffusion::Error::Schedule(
                "the kind `edm` needs sigma_min, sigma_max and sigma_data under `edm`".into(),
            )),
            ("flow", _) => Ok(Process::Flow),
            _ => Ok(Process::Discrete(Schedule::from_betas(self.betas.clone())?)),
        }
    }
}

/// Defaults for a request that names no sampler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefaultSampler {
    /// The sampler, as text with its options: `ddim:eta=0.5`.
    pub sampler: Sampler,
    /// Steps, from 1 to T.
    pub num_steps: usize,
    /// Grid of timesteps, as text: `trailing`.
    pub grid: GridSpec,
}

/// The file that every package has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graphs {
    /// Plain ONNX in fp32, for every provider.
    pub portable: String,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the package, with `/`, without `..`.
    pub path: String,
    /// Number of bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
}

impl Manifest {
    /// Version of a manifest with the portable graph alone.
    pub const VERSION: &'static str = "1.0";
    /// Version of a manifest with variants.
    pub const VERSION_WITH_VARIANTS: &'static str = "1.1";

    /// Parses and checks a manifest; `path` is for the errors.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for an unknown major version, [`Error::Manifest`] for any other fault.
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self, Error> {
        let fault = |reason: String| Error::Manifest { path: path.into(), reason };
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| fault(error.to_string()))?;
        let found = value.get("manifest_version").and_then(serde_json::Value::as_str);
        match found {
            None => return Err(fault("it lacks the string `manifest_version`".into())),
            Some(found) if found.split('.').next() != Some("1") => {
                return Err(Error::Version { path: path.into(), found: found.into() });
            }
            Some(_) => {}
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| fault(error.to_string()))?;
        manifest.check().map_err(fault)?;
        Ok(manifest)
    }

    /// Checks all fields, also against each other.
    ///
    /// # Errors
    ///
    /// Names the field and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return Err(format!("name must be 1 to 64 of a-z 0-9 . _ -, got {:?}", self.name));
        }
        let visible = |c: char| !c.is_control();
        if self.version.is_empty() || self.version.len() > 64 || !self.version.chars().all(visible)
        {
            return Err(format!("version must be 1 to 64 characters, got {:?}", self.version));
        }
        self.check_shape()?;
        self.default_recipe()
            .and_then(|(network, recipe)| recipe.compile(&network))
            .map_err(|error| error.to_string())?;
        let of_variants = self.variants.iter().flat_map(|variant| [&variant.path, &variant.golden]);
        for used in [&self.graphs.portable, &self.golden].into_iter().chain(of_variants) {
            if !self.files.iter().any(|file| file.path == *used) {
                return Err(format!("{used:?} is not among its files"));
            }
        }
        self.check_variants()
    }

    fn check_variants(&self) -> Result<(), String> {
        for (number, variant) in self.variants.iter().enumerate() {
            let Variant { graph, tolerance, provider, precision, .. } = variant;
            let is_again = |other: &Variant| other.graph == *graph;
            if self.variants[..number].iter().any(is_again) || graph == GraphName::Portable.name() {
                return Err(format!("it lists the graph {graph:?} twice"));
            }
            let Ok(known) = graph.parse::<GraphName>() else { continue };
            let most = known.most_tolerance();
            if !(*tolerance > 0.0 && *tolerance <= most) {
                return Err(format!(
                    "the tolerance of the graph {graph} must be above 0 and at most {most}, got \
                     {tolerance}"
                ));
            }
            if let Some(quality) = &variant.quality
                && quality.passed != (quality.upper <= quality.limit)
            {
                return Err(format!(
                    "the graph {graph} is marked as {}, but its ratio goes up to {} and {} passes",
                    if quality.passed { "passed" } else { "failed" },
                    quality.upper,
                    quality.limit
                ));
            }
            for (what, found, wanted) in [
                ("provider", provider.as_str(), known.provider().unwrap_or("any")),
                ("precision", precision.as_str(), known.precision()),
            ] {
                if found != wanted {
                    return Err(format!(
                        "the {what} of the graph {graph} must be {wanted:?}, got {found:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns a graph besides the portable one, if the package has it.
    #[must_use]
    pub fn variant(&self, graph: GraphName) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.graph == graph.name())
    }

    /// Returns the graphs of the package that this build knows, the portable one first.
    #[must_use]
    pub fn graph_names(&self) -> Vec<GraphName> {
        let has =
            |graph: &GraphName| *graph == GraphName::Portable || self.variant(*graph).is_some();
        GraphName::ALL.into_iter().filter(has).collect()
    }

    fn check_shape(&self) -> Result<(), String> {
        let shape = &self.sample_shape;
        let fits = match self.kind {
            Kind::Image => shape.len() == 3 && shape.iter().all(|axis| (1..=4096).contains(axis)),
            Kind::Points2d => *shape == [2],
        };
        if fits {
            return Ok(());
        }
        Err(format!("sample_shape {shape:?} does not fit the kind {:?}", self.kind))
    }

    /// Returns what inputs and outputs of the network mean.
    ///
    /// # Errors
    ///
    /// If the numbers of the schedule are out of range, or schedule and prediction are
    /// incompatible.
    pub fn parameterisation(&self) -> Result<Parameterisation, ddpm_diffusion::Error> {
        let process = self.schedule.process()?;
        let network =
            Parameterisation { process, prediction: self.prediction, variance: self.variance };
        network.check()?;
        Ok(network)
    }

    /// Returns the network with the default sampler, grid and number of steps.
    ///
    /// # Errors
    ///
    /// As [`Manifest::parameterisation`].
    pub fn default_recipe(&self) -> Result<(Parameterisation, Recipe), ddpm_diffusion::Error> {
        let network = self.parameterisation()?;
        let DefaultSampler { sampler, num_steps, ref grid } = self.default_sampler;
        let recipe = Recipe::new(sampler, &network);
        let recipe = Recipe { num_steps, grid: grid.clone(), ..recipe };
        Ok((network, recipe))
    }

    /// Returns the number of elements of one sample.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.sample_shape.iter().product()
    }

    /// Returns the number of elements of one output of the network: twice the sample's with a
    /// learned variance.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.sample_len() * if self.variance.is_learned() { 2 } else { 1 }
    }
}
