//! The settings of a network: the `[model]` section of a configuration.
//!
//! Keys and defaults are the reference's; `num_groups`, `norm_eps` and `num_classes` are ours.

use ddpm_package::Kind;
use serde::{Deserialize, Serialize};

use super::diffusers::DiffusersUnetConfig;

/// The kind of a network, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelConfig {
    /// Images.
    Unet(UnetConfig),
    /// Points.
    Toy(ToyConfig),
    /// Images, by the network of the diffusers library.
    #[serde(rename = "diffusers_unet")]
    Diffusers(DiffusersUnetConfig),
}

/// The UNet of Ho et al. 2020, appendix B, <https://arxiv.org/abs/2006.11239>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnetConfig {
    /// Height and width in pixels; need not be even.
    pub image_size: [i64; 2],
    /// Channels of x_t.
    pub in_channels: i64,
    /// Channels of the prediction: `in_channels`, or twice that if the variance is learned.
    pub out_channels: i64,
    /// Channels of the first level, C; at least 4.
    pub hid_channels: i64,
    /// Level i has `ch_multipliers[i]` · C channels at 1/2^i of the size; the first must be 1.
    pub ch_multipliers: Vec<i64>,
    /// Residual blocks per level on the way down; one more on the way up.
    pub num_res_blocks: i64,
    /// Which levels have self-attention; as long as `ch_multipliers`.
    pub apply_attn: Vec<bool>,
    /// Width of the time embedding; 4 C if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_embedding_dim: Option<i64>,
    /// Dropout inside residual blocks, in [0, 1).
    #[serde(default)]
    pub drop_rate: f64,
    /// Whether self-attention begins with a GroupNorm; the reference has it since October 2022.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub attn_norm: bool,
    /// Side of the squares of pixels that become channels before the network, and pixels again
    /// after it; 1: none. Divides `image_size`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub block_size: i64,
    /// Whether levels are resampled by convolution, not by average pooling and plain up-sampling.
    #[serde(default = "yes")]
    pub resample_with_conv: bool,
    /// Groups of every GroupNorm; must divide every width, concatenations included.
    #[serde(default = "reference_groups")]
    pub num_groups: i64,
    /// Added to the variance in every GroupNorm.
    #[serde(default = "reference_eps")]
    pub norm_eps: f64,
    /// Number of classes K; absent for an unconditional network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<i64>,
}

impl UnetConfig {
    /// Returns the network of Ho et al. 2020 for CIFAR-10: 35.7 million parameters, unconditional.
    #[must_use]
    pub fn cifar10() -> Self {
        Self {
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
        }
    }
}

/// The residual MLP for points; its temporal layers are one layer, applied repeatedly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToyConfig {
    /// Coordinates of a point.
    pub in_features: i64,
    /// Values per prediction: `in_features`, or twice that if the variance is learned.
    pub out_features: i64,
    /// Width of the hidden layers and of the time embedding; at least 4.
    pub mid_features: i64,
    /// Number of times the temporal layer is applied.
    pub num_temporal_layers: i64,
    /// Number of classes K; absent for an unconditional network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<i64>,
}

impl Default for ToyConfig {
    fn default() -> Self {
        Self {
            in_features: 2,
            out_features: 2,
            mid_features: 128,
            num_temporal_layers: 3,
            num_classes: None,
        }
    }
}

/// Number of groups, fixed in the reference and therefore in its checkpoints.
pub(crate) const REFERENCE_GROUPS: i64 = 32;

fn yes() -> bool {
    true
}

/// Leaves a setting out of files, so that the digests of older networks stay the same.
fn is_true(flag: &bool) -> bool {
    *flag
}

fn one() -> i64 {
    1
}

fn is_one(number: &i64) -> bool {
    *number == 1
}

fn reference_groups() -> i64 {
    REFERENCE_GROUPS
}

fn reference_eps() -> f64 {
    1e-6
}

impl ModelConfig {
    /// Returns the kind of a sample.
    pub fn kind(&self) -> Kind {
        match self {
            ModelConfig::Unet(_) | ModelConfig::Diffusers(_) => Kind::Image,
            ModelConfig::Toy(_) => Kind::Points2d,
        }
    }

    /// Returns the number of classes K of a conditional network.
    pub fn num_classes(&self) -> Option<i64> {
        match self {
            ModelConfig::Unet(unet) => unet.num_classes,
            ModelConfig::Toy(toy) => toy.num_classes,
            ModelConfig::Diffusers(unet) => unet.num_classes,
        }
    }

    /// Returns the shape of one sample: `[C, H, W]`, or `[in_features]`.
    pub fn sample_shape(&self) -> Vec<i64> {
        match self {
            ModelConfig::Unet(UnetConfig { in_channels, image_size: [height, width], .. }) => {
                vec![*in_channels, *height, *width]
            }
            ModelConfig::Toy(toy) => vec![toy.in_features],
            ModelConfig::Diffusers(unet) => {
                let [height, width] = unet.sample_size;
                vec![unet.in_channels, height, width]
            }
        }
    }

    /// Returns the shape of one prediction: the sample's, with the predicted number of channels or
    /// coordinates.
    pub fn output_shape(&self) -> Vec<i64> {
        let mut shape = self.sample_shape();
        shape[0] = match self {
            ModelConfig::Unet(unet) => unet.out_channels,
            ModelConfig::Toy(toy) => toy.out_features,
            ModelConfig::Diffusers(unet) => unet.out_channels,
        };
        shape
    }

    /// Makes room for the variance of each element beside the prediction, or removes it.
    pub fn set_learned_variance(&mut self, learned: bool) {
        let factor = if learned { 2 } else { 1 };
        match self {
            ModelConfig::Unet(unet) => unet.out_channels = factor * unet.in_channels,
            ModelConfig::Toy(toy) => toy.out_features = factor * toy.in_features,
            ModelConfig::Diffusers(unet) => unet.out_channels = factor * unet.in_channels,
        }
    }
}

impl UnetConfig {
    /// Returns the number of levels; the last is the smallest.
    pub(crate) fn levels(&self) -> usize {
        self.ch_multipliers.len()
    }

    /// Returns the channels of a level.
    pub(crate) fn width(&self, level: usize) -> i64 {
        self.ch_multipliers[level] * self.hid_channels
    }

    /// Returns the width of the time embedding.
    pub(crate) fn time_width(&self) -> i64 {
        self.time_embedding_dim.unwrap_or(4 * self.hid_channels)
    }

    /// Returns height and width at a level: those of the image in blocks, the network's pixels,
    /// halved once per level, rounding up.
    pub(crate) fn size(&self, level: usize) -> [i64; 2] {
        let halve = |extent, _| (extent + 1) / 2;
        self.image_size.map(|extent| (0..level).fold(extent / self.block_size, halve))
    }

    /// Returns the number of pixels in a block.
    pub(crate) fn block_area(&self) -> i64 {
        self.block_size * self.block_size
    }

    /// Returns the input channels of the first block of a level on the way down.
    pub(crate) fn down_input(&self, level: usize) -> i64 {
        level.checked_sub(1).map_or(self.hid_channels, |above| self.width(above))
    }

    /// Returns the input channels of each block of a level on the way up: those from below or from
    /// the block before, concatenated with the skip connection.
    pub(crate) fn up_inputs(&self, level: usize) -> Vec<i64> {
        let below = self.width((level + 1).min(self.levels() - 1));
        let own = self.width(level);
        (0..=self.num_res_blocks)
            .map(|block| {
                let input = if block == 0 { below } else { own };
                let skip = if block == self.num_res_blocks { self.down_input(level) } else { own };
                input + skip
            })
            .collect()
    }
}
