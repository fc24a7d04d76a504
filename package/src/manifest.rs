//! `ddpm.json`: what serving needs to know of a model.
//!
//! Unknown keys are ignored, so that a newer minor version can be read; an
//! unknown major version is refused.

use std::path::Path;

use ddpm_diffusion::{BetaSchedule, GridKind, Parameterization, Prediction, Schedule, Variance};
use serde::{Deserialize, Serialize};

use crate::{Error, Sha256Hex};

/// Name of the manifest in a package.
pub const MANIFEST_FILE: &str = "ddpm.json";

/// What is in a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format, `MAJOR.MINOR`.
    pub manifest_version: String,
    /// Name under which the model is served: 1 to 64 of `a-z 0-9 . _ -`.
    pub name: String,
    /// Version of the model, free text of 1 to 64 printable characters.
    pub version: String,
    /// What a sample is.
    pub kind: Kind,
    /// Shape of one sample: channels, height, width; or 2 for points.
    pub sample_shape: Vec<usize>,
    /// The noise schedule.
    pub schedule: ScheduleSpec,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Variance of the reverse steps.
    pub variance: Variance,
    /// Names of the classes, in the order of their labels. Empty: unconditional.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What a request that names no sampler gets.
    pub default_sampler: DefaultSampler,
    /// The network, one file a variant.
    pub graphs: Graphs,
    /// Path of the golden vectors.
    pub golden: String,
    /// Every other file of the package.
    pub files: Vec<FileEntry>,
}

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A picture, `[channels, height, width]` in [−1, 1].
    Image,
    /// A point of the plane, `[2]`.
    Points2d,
}

/// A noise schedule: its betas decide, the rest says where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Name of the rule, or `explicit`.
    pub kind: String,
    /// β at t = 0 where the rule has one.
    pub beta_start: f64,
    /// β at t = T−1 where the rule has one.
    pub beta_end: f64,
    /// β_0 … β_{T−1}.
    pub betas: Vec<f64>,
}

impl ScheduleSpec {
    /// Describes a schedule made by a named rule.
    #[must_use]
    pub fn named(kind: BetaSchedule, beta_start: f64, beta_end: f64, schedule: &Schedule) -> Self {
        Self { kind: kind.name().into(), beta_start, beta_end, betas: schedule.betas().to_vec() }
    }
}

/// What a request that names no sampler gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefaultSampler {
    /// The sampler.
    #[serde(flatten)]
    pub sampler: SamplerSpec,
    /// Steps, from 1 to T.
    pub num_steps: usize,
    /// Which timesteps are visited.
    pub grid: GridKind,
}

/// A sampler with its options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sampler", rename_all = "snake_case")]
pub enum SamplerSpec {
    /// Ancestral sampling with the model's own variance.
    Ddpm,
    /// DDIM.
    Ddim {
        /// In [0, 1].
        eta: f64,
    },
}

/// The network, one file a variant; all have the same inputs and outputs.
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
    /// Bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
}

impl Manifest {
    /// The version that this build writes.
    pub const VERSION: &'static str = "1.0";

    /// Parses and checks a manifest; `path` is for the errors.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for an unknown major version, [`Error::Manifest`] for
    /// anything else that is wrong with it.
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self, Error> {
        let fault = |reason: String| Error::Manifest { path: path.into(), reason };
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| fault(error.to_string()))?;
        let found = value.get("manifest_version").and_then(serde_json::Value::as_str);
        match found {
            None => return Err(fault("it lacks the text `manifest_version`".into())),
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

    /// Everything a manifest says, checked against everything else.
    ///
    /// # Errors
    ///
    /// A sentence with the field and what it must be.
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
        let schedule = self.schedule().map_err(|error| error.to_string())?;
        if schedule.ends_in_pure_noise() && self.prediction == Prediction::Eps {
            return Err("a schedule that ends in pure noise (alphas_cumprod = 0) needs a network \
                        that predicts v or x_0, not eps"
                .into());
        }
        let default = &self.default_sampler;
        default
            .grid
            .grid(schedule.timesteps(), default.num_steps)
            .map_err(|error| format!("default_sampler: {error}"))?;
        if let SamplerSpec::Ddim { eta } = default.sampler
            && !(0.0..=1.0).contains(&eta)
        {
            return Err(format!("default_sampler: eta must be in [0, 1], got {eta}"));
        }
        for used in [&self.graphs.portable, &self.golden] {
            if !self.files.iter().any(|file| file.path == *used) {
                return Err(format!("{used:?} is not among its files"));
            }
        }
        Ok(())
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

    /// The schedule's tables.
    ///
    /// # Errors
    ///
    /// If the betas are out of range.
    pub fn schedule(&self) -> Result<Schedule, ddpm_diffusion::Error> {
        Schedule::from_betas(self.schedule.betas.clone())
    }

    /// What the network's output channels hold.
    #[must_use]
    pub fn parameterization(&self) -> Parameterization {
        Parameterization { prediction: self.prediction, variance: self.variance }
    }

    /// Elements of one sample.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.sample_shape.iter().product()
    }

    /// Elements of one output of the network: twice the sample's with a learned
    /// variance.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.sample_len() * if self.variance == Variance::Learned { 2 } else { 1 }
    }
}
