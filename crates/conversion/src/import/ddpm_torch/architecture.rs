//! The settings of the network, from the names and shapes of its weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ddpm_network::{ModelConfig, ToyConfig, UnetConfig};
use tch::Tensor;

use super::settings::{Flags, ModelSection, Settings};
use crate::import::{ImportError, ImportOptions};

/// Most levels and blocks to look for; no network has more.
const MAX_PARTS: usize = 64;

/// ddpm-torch's since July 2023; before, PyTorch's default.
const NORM_EPS: f64 = 1e-6;
/// PyTorch's default, used by networks without a norm before attention.
const OLD_NORM_EPS: f64 = 1e-5;

/// The shapes of a checkpoint's weights by name, and its file for messages.
pub(super) struct WeightShapes {
    path: PathBuf,
    shapes: HashMap<String, Vec<i64>>,
}

impl WeightShapes {
    /// Takes the shapes of a state dictionary.
    pub(super) fn new(path: &Path, state: &[(String, Tensor)]) -> Self {
        let shapes = state.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect();
        Self { path: path.into(), shapes }
    }

    /// Returns the settings of the network: from the weights, then from options and JSON, which
    /// must agree with the weights.
    ///
    /// # Errors
    ///
    /// [`ImportError::Missing`] if the size of pictures is unknown; [`ImportError::Contradiction`];
    /// [`ImportError::Format`] if a tensor that every such network has is missing.
    pub(super) fn model(
        &self,
        settings: &Settings,
        options: &ImportOptions,
        assumptions: &mut Vec<String>,
    ) -> Result<ModelConfig, ImportError> {
        if self.has("in_fc.weight") {
            return Ok(ModelConfig::Toy(self.toy()?));
        }
        let unet = self.unet(settings, options, assumptions)?;
        check_agreement(&unet, settings)?;
        Ok(ModelConfig::Unet(unet))
    }

    fn toy(&self) -> Result<ToyConfig, ImportError> {
        let layer = |i: &usize| self.has(&format!("temp_fc.{i}.fc1.weight"));
        let width = self.extent("in_fc.weight", 0)?;
        self.expect_shape("in_fc.weight", &[&[width, 2]])?;
        self.expect_shape("out_fc.weight", &[&[2, width], &[4, width]])?;
        Ok(ToyConfig {
            in_features: self.extent("in_fc.weight", 1)?,
            out_features: self.extent("out_fc.weight", 0)?,
            mid_features: self.extent("in_fc.weight", 0)?,
            num_temporal_layers: (0..MAX_PARTS).take_while(layer).count() as i64,
            num_classes: None,
        })
    }

    fn unet(
        &self,
        settings: &Settings,
        options: &ImportOptions,
        assumptions: &mut Vec<String>,
    ) -> Result<UnetConfig, ImportError> {
        let hid_channels = self.extent("in_conv.weight", 0)?;
        let levels: Vec<Level> = (0..MAX_PARTS).map_while(|level| self.level(level)).collect();
        let num_res_blocks = levels.first().map_or(0, |level| level.blocks) as i64;
        let block_size = options.block_size.or(settings.model().block_size).unwrap_or(1);
        let area = block_size.saturating_mul(block_size).max(1);
        let inputs = self.extent("in_conv.weight", 1)?;
        let out_shape = |outputs: i64| [outputs, hid_channels, 3, 3];
        let (fixed, learned) = (out_shape(inputs), out_shape(inputs.saturating_mul(2)));
        self.expect_shape("in_conv.weight", &[&[hid_channels, inputs, 3, 3]])?;
        self.expect_shape("out_conv.2.weight", &[&fixed, &learned])?;
        let attn_norm = self.has("middle.1.norm.weight");
        Ok(UnetConfig {
            image_size: self.image_size(settings, options, assumptions)?,
            in_channels: self.channels("in_conv.weight", 1, area)?,
            out_channels: self.channels("out_conv.2.weight", 0, area)?,
            hid_channels,
            ch_multipliers: levels.iter().map(|level| level.width / hid_channels.max(1)).collect(),
            num_res_blocks,
            apply_attn: levels.iter().map(|level| level.attention).collect(),
            time_embedding_dim: Some(self.extent("embed.0.weight", 0)?)
                .filter(|&width| width != 4 * hid_channels),
            drop_rate: settings.model().drop_rate.unwrap_or(0.0),
            attn_norm,
            block_size,
            resample_with_conv: levels.len() < 2
                || self.has(&format!("downsamples.level_0.{num_res_blocks}.1.weight")),
            num_groups: 32,
            norm_eps: norm_eps(options, attn_norm, assumptions),
            num_classes: None,
        })
    }

    fn image_size(
        &self,
        settings: &Settings,
        options: &ImportOptions,
        assumptions: &mut Vec<String>,
    ) -> Result<[i64; 2], ImportError> {
        if let Some(size) = options.image_size {
            return Ok(size);
        }
        let (dataset, side) = settings.dataset().ok_or_else(|| ImportError::Missing {
            path: self.path.clone(),
            what: "the size of pictures",
            flag: "--image-size, or --config with a dataset of ddpm-torch",
        })?;
        assumptions.push(format!("image_size = {side}, the size of {dataset} in ddpm-torch"));
        Ok([side; 2])
    }

    /// Returns the channels of pictures; those of the network are `area` times as many.
    fn channels(&self, name: &str, axis: usize, area: i64) -> Result<i64, ImportError> {
        let channels = self.extent(name, axis)?;
        if channels % area == 0 {
            return Ok(channels / area);
        }
        Err(ImportError::Contradiction {
            key: "block_size squared".into(),
            stated: area.to_string(),
            stated_by: "the settings".into(),
            found: format!("a divisor of {channels}"),
        })
    }

    /// Returns the structure of a level on the way down; `None` if there is no such level.
    fn level(&self, level: usize) -> Option<Level> {
        let block = |j: usize, inner: &str| {
            self.shapes.get(&format!("downsamples.level_{level}.{j}{inner}.conv1.weight"))
        };
        let attention = block(0, ".0").is_some();
        let inner = if attention { ".0" } else { "" };
        let width = *block(0, inner)?.first()?;
        let blocks = (0..MAX_PARTS).take_while(|&j| block(j, inner).is_some()).count();
        Some(Level { width, blocks, attention })
    }

    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    /// Checks a tensor that the settings of the network are derived from: one of another shape
    /// would surface much later, as a number of elements.
    fn expect_shape(&self, name: &str, expected: &[&[i64]]) -> Result<(), ImportError> {
        let found = self.shapes.get(name).map(Vec::as_slice);
        let Some(found) = found.filter(|found| !expected.contains(found)) else { return Ok(()) };
        let expected: Vec<_> = expected.iter().map(|shape| format!("{shape:?}")).collect();
        let problem = format!("{name} is {found:?}, expected {}", expected.join(" or "));
        Err(ImportError::format(&self.path, &problem))
    }

    fn extent(&self, name: &str, axis: usize) -> Result<i64, ImportError> {
        let shape = self.shapes.get(name);
        shape.and_then(|shape| shape.get(axis)).copied().ok_or_else(|| {
            ImportError::format(&self.path, &format!("{name} is missing, or has too few axes"))
        })
    }
}

struct Level {
    width: i64,
    blocks: usize,
    attention: bool,
}

/// Returns the user's value, or one by the age of the network.
fn norm_eps(options: &ImportOptions, attn_norm: bool, assumptions: &mut Vec<String>) -> f64 {
    options.norm_eps.unwrap_or_else(|| {
        let (eps, reason) = if attn_norm {
            (NORM_EPS, "ddpm-torch's since July 2023; weights that are older need --norm-eps 1e-5")
        } else {
            (OLD_NORM_EPS, "as there is no norm before attention: weights of 2022")
        };
        assumptions.push(format!("norm_eps = {eps:e}, {reason}"));
        eps
    })
}

/// Checks that the JSON agrees with the weights.
fn check_agreement(unet: &UnetConfig, settings: &Settings) -> Result<(), ImportError> {
    let ModelSection {
        in_channels,
        out_channels,
        hid_channels,
        ch_multipliers,
        num_res_blocks,
        apply_attn,
        time_embedding_dim,
        resample_with_conv,
        ..
    } = settings.model();
    let check = |key: &str, stated: Option<String>, found: String| match stated {
        Some(stated) if stated != found => Err(ImportError::Contradiction {
            key: format!("model.{key}"),
            stated,
            stated_by: settings.path(),
            found,
        }),
        _ => Ok(()),
    };
    let number = |stated: &Option<i64>| stated.map(|stated| stated.to_string());
    let attention = apply_attn.clone().map(|flags| match flags {
        Flags::All(flag) => vec![flag; unet.apply_attn.len()],
        Flags::Each(flags) => flags,
    });
    let time_width = unet.time_embedding_dim.unwrap_or(4 * unet.hid_channels);
    check("in_channels", number(in_channels), unet.in_channels.to_string())?;
    check("out_channels", number(out_channels), unet.out_channels.to_string())?;
    check("hid_channels", number(hid_channels), unet.hid_channels.to_string())?;
    check("num_res_blocks", number(num_res_blocks), unet.num_res_blocks.to_string())?;
    check("time_embedding_dim", number(time_embedding_dim), time_width.to_string())?;
    let multipliers = ch_multipliers.as_ref().map(|stated| format!("{stated:?}"));
    check("ch_multipliers", multipliers, format!("{:?}", unet.ch_multipliers))?;
    check(
        "apply_attn",
        attention.map(|stated| format!("{stated:?}")),
        format!("{:?}", unet.apply_attn),
    )?;
    // With a single level there is nothing to resample.
    let resample = resample_with_conv.filter(|_| unet.ch_multipliers.len() > 1);
    let found = unet.resample_with_conv.to_string();
    check("resample_with_conv", resample.map(|stated| stated.to_string()), found)
}
