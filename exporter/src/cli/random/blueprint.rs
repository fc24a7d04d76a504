//! Networks to write at random: known by name, or described by a settings file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ddpm_data::glyphs::CLASS_NAMES;
use ddpm_network::{ModelConfig, ToyConfig, UnetConfig};

use crate::cli::layers::without_mark;
use crate::cli::names::model_name;

/// Where the network's settings come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NetworkSource {
    Named(&'static str),
    File(PathBuf),
}

/// The description of the network in the package, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blueprint {
    /// Name of the model.
    pub(super) name: String,
    pub(super) model: ModelConfig,
    /// Class names, in the order of their labels.
    pub(super) classes: Vec<String>,
}

/// Why a file does not describe a network.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub(super) struct BlueprintError {
    path: PathBuf,
    problem: String,
}

type Constructor = fn() -> ModelConfig;

const NAMED: [(&str, Constructor); 4] =
    [("cifar10", cifar10), ("celeba", celeba), ("glyphs", glyphs), ("toy", toy)];

impl FromStr for NetworkSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match NAMED.iter().find(|(name, _)| *name == text) {
            Some((name, _)) => Ok(Self::Named(name)),
            None if Path::new(text).extension().is_some_and(|extension| extension == "json") => {
                Ok(Self::File(text.into()))
            }
            None => {
                let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
                Err(format!("use one of {}, or a .json file", names.join(", ")))
            }
        }
    }
}

impl NetworkSource {
    /// Resolves the network's settings.
    ///
    /// # Errors
    ///
    /// [`BlueprintError`] if the file cannot be read, holds no network settings, or settings that a
    /// package cannot hold.
    pub(super) fn blueprint(&self) -> Result<Blueprint, BlueprintError> {
        let (name, model) = match self {
            Self::Named(name) => ((*name).to_owned(), named(name)),
            Self::File(path) => (model_name(path), read_settings(path)?),
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
    found.map(|(_, make)| make()).expect("names come from the table")
}

fn read_settings(path: &Path) -> Result<ModelConfig, BlueprintError> {
    let fail = |problem: String| BlueprintError { path: path.into(), problem };
    let text = std::fs::read_to_string(path)
        .map_err(|cause| fail(format!("it cannot be read: {cause}")))?;
    let model = serde_json::from_str(without_mark(&text)).map_err(|cause| {
        fail(format!(
            "it holds no network settings: {cause}; `ddpm-exporter inspect --json` shows those of \
             a package under `graph.model`"
        ))
    })?;
    check(&model).map_err(fail)?;
    Ok(model)
}

/// Checks that a package can hold samples and outputs of these shapes.
fn check(model: &ModelConfig) -> Result<(), String> {
    model.validate().map_err(|error| error.to_string())?;
    let (in_channels, out_channels) = (model.sample_shape()[0], model.output_shape()[0]);
    match *model {
        ModelConfig::Toy(ToyConfig { in_features, .. }) if in_features != 2 => {
            Err(format!("points must have 2 coordinates, not {in_features}"))
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

fn cifar10() -> ModelConfig {
    ModelConfig::Unet(UnetConfig::cifar10())
}

/// Returns the reference's network for CelebA: CIFAR-10's at twice the size, with attention one
/// level further down.
fn celeba() -> ModelConfig {
    ModelConfig::Unet(UnetConfig {
        image_size: [64, 64],
        apply_attn: vec![false, false, true, false],
        drop_rate: 0.0,
        ..UnetConfig::cifar10()
    })
}

/// Returns a network of the size of the embedded glyphs model.
fn glyphs() -> ModelConfig {
    ModelConfig::Unet(UnetConfig {
        image_size: [16, 16],
        hid_channels: 32,
        ch_multipliers: vec![1, 2],
        num_res_blocks: 1,
        apply_attn: vec![false, true],
        drop_rate: 0.0,
        num_groups: 8,
        num_classes: Some(CLASS_NAMES.len() as i64),
        ..UnetConfig::cifar10()
    })
}

fn toy() -> ModelConfig {
    ModelConfig::Toy(ToyConfig::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_valid_network() {
        for (name, _) in NAMED {
            let blueprint = name.parse::<NetworkSource>().unwrap().blueprint().unwrap();
            blueprint.model.validate().unwrap();
            assert_eq!(blueprint.name, format!("{name}-random"));
            let classes = blueprint.model.num_classes().unwrap_or(0);
            assert_eq!(blueprint.classes.len() as i64, classes);
        }
    }

    #[test]
    fn settings_written_to_a_file_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.json");
        std::fs::write(&path, serde_json::to_vec(&glyphs()).unwrap()).unwrap();

        let blueprint = NetworkSource::File(path).blueprint().unwrap();

        assert_eq!((blueprint.model, blueprint.classes.len()), (glyphs(), 16));
        assert_eq!(blueprint.name, "small-random");
    }

    #[test]
    fn anything_but_a_network_is_refused_with_advice() {
        assert!(
            "cifar".parse::<NetworkSource>().unwrap_err().contains("cifar10, celeba, glyphs, toy")
        );
        let missing = NetworkSource::File("missing.json".into()).blueprint().unwrap_err();
        assert!(missing.to_string().contains("missing.json: it cannot be read"), "{missing}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.json");
        for (settings, problem) in [
            (r#"{"kind": "unet"}"#, "missing field `image_size`"),
            (r#"{"kind": "toy", "in_features": 3}"#, "2 coordinates, not 3"),
            (r#"{"kind": "toy", "mid_features": 0}"#, "mid_features must be in"),
        ] {
            std::fs::write(&path, settings).unwrap();
            let error = NetworkSource::File(path.clone()).blueprint().unwrap_err().to_string();
            assert!(error.contains("bad.json: ") && error.contains(problem), "{error}");
        }
    }
}
