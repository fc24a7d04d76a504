//! Which network to make: one that has a name, or one whose settings are in a file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cli::names::model_name;
use crate::data::glyphs::CLASS_NAMES;
use crate::model::{ModelConfig, ToyConfig, UnetConfig};

/// What the user named.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    Named(&'static str),
    File(PathBuf),
}

/// What a package of a network says besides its weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blueprint {
    /// Name of the model.
    pub(super) name: String,
    pub(super) model: ModelConfig,
    /// Names of the classes, in the order of their labels.
    pub(super) classes: Vec<String>,
}

/// Why a file is no network.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub(super) struct BlueprintError {
    path: PathBuf,
    problem: String,
}

/// What makes the networks that have a name.
type Make = fn() -> ModelConfig;

const NAMED: [(&str, Make); 4] =
    [("cifar10", cifar10), ("celeba", celeba), ("glyphs", glyphs), ("toy", toy)];

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match NAMED.iter().find(|(name, _)| *name == text) {
            Some((name, _)) => Ok(Self::Named(name)),
            None if Path::new(text).extension().is_some_and(|end| end == "json") => {
                Ok(Self::File(text.into()))
            }
            None => {
                let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
                Err(format!("use one of {}, or a .json file", names.join(", ")))
            }
        }
    }
}

impl Choice {
    /// The network that is meant, and what its package says of it.
    ///
    /// # Errors
    ///
    /// [`BlueprintError`] if the file cannot be read, holds no settings of a network, or of one
    /// that no package can hold.
    pub(super) fn blueprint(&self) -> Result<Blueprint, BlueprintError> {
        let (name, model) = match self {
            Self::Named(name) => ((*name).to_owned(), named(name)),
            Self::File(path) => (model_name(path), read(path)?),
        };
        let classes = match model.num_classes() {
            None => Vec::new(),
            Some(_) if *self == Self::Named("glyphs") => CLASS_NAMES.map(str::to_owned).to_vec(),
            Some(count) => (0..count).map(|label| label.to_string()).collect(),
        };
        Ok(Blueprint { name: format!("{name}-random"), model, classes })
    }
}

fn named(name: &str) -> ModelConfig {
    let found = NAMED.iter().find(|(known, _)| *known == name);
    found.map(|(_, make)| make()).expect("a choice is made from the table")
}

fn read(path: &Path) -> Result<ModelConfig, BlueprintError> {
    let fail = |problem: String| BlueprintError { path: path.into(), problem };
    let text = std::fs::read(path).map_err(|cause| fail(format!("it cannot be read: {cause}")))?;
    let model = serde_json::from_slice(&text).map_err(|cause| {
        fail(format!(
            "it holds no settings of a network: {cause}; `ddpm-exporter inspect --json` shows \
             those of a package under `graph.model`"
        ))
    })?;
    check(&model).map_err(fail)?;
    Ok(model)
}

/// Whether samples and outputs have shapes that a package can promise.
fn check(model: &ModelConfig) -> Result<(), String> {
    model.validate().map_err(|error| error.to_string())?;
    let (in_channels, out_channels) = (model.sample_shape()[0], model.output_shape()[0]);
    match *model {
        ModelConfig::Toy(ToyConfig { in_features, .. }) if in_features != 2 => {
            Err(format!("points that are served have 2 coordinates, not {in_features}"))
        }
        ModelConfig::Unet(_) | ModelConfig::Diffusers(_)
            if out_channels != in_channels && out_channels != 2 * in_channels =>
        {
            Err(format!(
                "model.out_channels must be {in_channels}, or {} with a learned variance, got \
                 {out_channels}",
                2 * in_channels
            ))
        }
        _ => Ok(()),
    }
}

/// The reference's network for CIFAR-10: 35.7 million parameters.
fn cifar10() -> ModelConfig {
    ModelConfig::Unet(UnetConfig {
        image_size: [32, 32],
        in_channels: 3,
        out_channels: 3,
        hid_channels: 128,
        ch_multipliers: vec![1, 2, 2, 2],
        num_res_blocks: 2,
        apply_attn: vec![false, true, false, false],
        time_embedding_dim: None,
        drop_rate: 0.1,
        attn_norm: true,
        block_size: 1,
        resample_with_conv: true,
        num_groups: 32,
        norm_eps: 1e-6,
        num_classes: None,
    })
}

/// The reference's for CelebA: the same at twice the size, so attention moves a level down.
fn celeba() -> ModelConfig {
    let ModelConfig::Unet(cifar10) = cifar10() else { unreachable!("CIFAR-10's is a UNet") };
    ModelConfig::Unet(UnetConfig {
        image_size: [64, 64],
        apply_attn: vec![false, false, true, false],
        drop_rate: 0.0,
        ..cifar10
    })
}

/// The size of the embedded glyphs model.
fn glyphs() -> ModelConfig {
    let ModelConfig::Unet(cifar10) = cifar10() else { unreachable!("CIFAR-10's is a UNet") };
    ModelConfig::Unet(UnetConfig {
        image_size: [16, 16],
        hid_channels: 32,
        ch_multipliers: vec![1, 2],
        num_res_blocks: 1,
        apply_attn: vec![false, true],
        drop_rate: 0.0,
        num_groups: 8,
        num_classes: Some(CLASS_NAMES.len() as i64),
        ..cifar10
    })
}

fn toy() -> ModelConfig {
    ModelConfig::Toy(ToyConfig::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_network_that_is_valid() {
        for (name, _) in NAMED {
            let blueprint = name.parse::<Choice>().unwrap().blueprint().unwrap();
            blueprint.model.validate().unwrap();
            assert_eq!(blueprint.name, format!("{name}-random"));
            let classes = blueprint.model.num_classes().unwrap_or(0);
            assert_eq!(blueprint.classes.len() as i64, classes);
        }
    }

    #[test]
    fn a_file_is_read_back_from_the_settings_written_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.json");
        std::fs::write(&path, serde_json::to_vec(&glyphs()).unwrap()).unwrap();

        let blueprint = Choice::File(path).blueprint().unwrap();

        assert_eq!((blueprint.model, blueprint.classes.len()), (glyphs(), 16));
        assert_eq!(blueprint.name, "small-random");
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_to_try() {
        assert!("cifar".parse::<Choice>().unwrap_err().contains("cifar10, celeba, glyphs, toy"));
        let missing = Choice::File("missing.json".into()).blueprint().unwrap_err();
        assert!(missing.to_string().contains("missing.json: it cannot be read"), "{missing}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.json");
        for (settings, problem) in [
            (r#"{"kind": "unet"}"#, "missing field `image_size`"),
            (r#"{"kind": "toy", "in_features": 3}"#, "2 coordinates, not 3"),
            (r#"{"kind": "toy", "mid_features": 0}"#, "mid_features must be in"),
        ] {
            std::fs::write(&path, settings).unwrap();
            let error = Choice::File(path.clone()).blueprint().unwrap_err().to_string();
            assert!(error.contains("bad.json: ") && error.contains(problem), "{error}");
        }
    }
}
