//! ddpm-torch's JSON: settings that the weights do not reveal, and settings that must agree with
//! them.
//!
//! Sections and keys are the reference's, of 2022 (`denoise`) and of today (`model`); `train`
//! describes the training and is not needed.

use std::path::{Path, PathBuf};

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::import::{ImportError, json};

/// A configuration and its file.
#[derive(Debug, Default)]
pub(super) struct Settings {
    path: PathBuf,
    sections: Sections,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    dataset: Option<String>,
    #[serde(default)]
    diffusion: DiffusionSection,
    #[serde(default, alias = "denoise")]
    model: ModelSection,
    /// Accepted and ignored: settings of the training.
    #[serde(default)]
    #[allow(dead_code)]
    train: Value,
    /// Accepted and ignored.
    #[serde(default)]
    #[allow(dead_code)]
    seed: Value,
}

/// The process.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffusionSection {
    pub(super) timesteps: Option<usize>,
    pub(super) beta_start: Option<f64>,
    pub(super) beta_end: Option<f64>,
    #[serde(default, deserialize_with = "beta_schedule")]
    pub(super) beta_schedule: Option<BetaSchedule>,
    #[serde(default, deserialize_with = "prediction")]
    pub(super) model_mean_type: Option<Prediction>,
    #[serde(default, deserialize_with = "variance")]
    pub(super) model_var_type: Option<Variance>,
    /// Accepted and ignored: a setting of the training.
    #[serde(default)]
    #[allow(dead_code)]
    loss_type: Value,
}

/// The network.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelSection {
    pub(super) in_channels: Option<i64>,
    pub(super) out_channels: Option<i64>,
    pub(super) hid_channels: Option<i64>,
    pub(super) ch_multipliers: Option<Vec<i64>>,
    pub(super) num_res_blocks: Option<i64>,
    pub(super) apply_attn: Option<Flags>,
    pub(super) time_embedding_dim: Option<i64>,
    pub(super) drop_rate: Option<f64>,
    pub(super) resample_with_conv: Option<bool>,
    pub(super) block_size: Option<i64>,
}

/// One flag for all levels, or one per level.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Flags {
    All(bool),
    Each(Vec<bool>),
}

impl Settings {
    /// Reads a JSON file.
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`] or [`ImportError::Format`], which names an unknown key.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        Ok(Self { path: path.into(), sections: json::read(path)? })
    }

    /// Returns the file, for messages.
    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the settings of the process.
    pub(super) fn diffusion(&self) -> &DiffusionSection {
        &self.sections.diffusion
    }

    /// Returns the settings of the network.
    pub(super) fn model(&self) -> &ModelSection {
        &self.sections.model
    }

    /// Returns the data set, and the side of its pictures in the reference.
    pub(super) fn dataset(&self) -> Option<(&str, i64)> {
        let name = self.sections.dataset.as_deref()?;
        let side = match name {
            "mnist" | "cifar10" => 32,
            "celeba" => 64,
            "celeba_hq" | "celebahq" => 256,
            _ => return None,
        };
        Some((name, side))
    }
}

/// Reads the value that a name stands for.
fn by_name<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    names: &[(&'static str, T)],
) -> Result<Option<T>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| Some(*value)).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        serde::de::Error::custom(format!("{text:?} is not one of {}", names.join(", ")))
    })
}

fn beta_schedule<'de, D: Deserializer<'de>>(name: D) -> Result<Option<BetaSchedule>, D::Error> {
    by_name(name, &BetaSchedule::NAMES)
}

fn prediction<'de, D: Deserializer<'de>>(name: D) -> Result<Option<Prediction>, D::Error> {
    // The first three are the reference's.
    by_name(name, &Prediction::NAMES[..3])
}

fn variance<'de, D: Deserializer<'de>>(name: D) -> Result<Option<Variance>, D::Error> {
    by_name(name, &Variance::NAMES[..3])
}
