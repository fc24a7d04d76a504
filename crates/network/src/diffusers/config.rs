//! The settings of a diffusers UNet; keys and meanings are those of its `config.json`.

use serde::{Deserialize, Serialize};

/// The settings of `UNet2DModel` that networks for pictures need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusersUnetConfig {
    /// Height and width in pixels, multiples of 2^(levels − 1).
    pub sample_size: [i64; 2],
    /// Channels of x_t.
    pub in_channels: i64,
    /// Channels of the prediction: `in_channels`, or twice that if the variance is learned.
    pub out_channels: i64,
    /// Whether 2 x − 1 goes into the first convolution instead of x.
    pub center_input_sample: bool,
    /// Width of the time embedding; 4 times the first width if absent.
    pub time_embedding_dim: Option<i64>,
    /// Frequencies are 10000^(−i / (half − shift)).
    pub freq_shift: f64,
    /// Whether cosines come before sines.
    pub flip_sin_to_cos: bool,
    /// Each level on the way down, largest first.
    pub down_block_types: Vec<DownBlockType>,
    /// Each level on the way up, smallest first.
    pub up_block_types: Vec<UpBlockType>,
    /// Whether there are blocks between the way down and the way up.
    pub mid_block: bool,
    /// Whether these have self-attention.
    pub add_attention: bool,
    /// Channels of each level, largest level first.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks per level on the way down; one more on the way up.
    pub layers_per_block: i64,
    /// Zeros around a picture before a convolution halves it; 0: one at the right and the bottom.
    pub downsample_padding: i64,
    /// How levels with attention are halved; those without have convolutions.
    pub downsample_type: Resampling,
    /// How levels with attention are doubled; those without have convolutions.
    pub upsample_type: Resampling,
    /// Dropout inside residual blocks, in [0, 1).
    pub dropout: f64,
    /// Channels of an attention head; one head if absent.
    pub attention_head_dim: Option<i64>,
    /// Groups of every GroupNorm; must divide every width, concatenations included.
    pub norm_num_groups: i64,
    /// Groups of the norm before the attention in the middle; absent: `norm_num_groups`, or no norm
    /// with `scale_shift`.
    pub attn_norm_num_groups: Option<i64>,
    /// Added to the variance in every GroupNorm.
    pub norm_eps: f64,
    /// How residual blocks take in the time embedding.
    pub resnet_time_scale_shift: TimeScaleShift,
    /// Number of classes K; absent for an unconditional network. The table of classes has one more
    /// row, for "no label".
    pub num_classes: Option<i64>,
}

/// A level on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks, halved by a convolution.
    DownBlock2D,
    /// Residual blocks, each with self-attention.
    AttnDownBlock2D,
    /// Residual blocks, halved by a residual block.
    ResnetDownsampleBlock2D,
}

/// A level on the way up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks, doubled by a convolution.
    UpBlock2D,
    /// Residual blocks, each with self-attention.
    AttnUpBlock2D,
    /// Residual blocks, doubled by a residual block.
    ResnetUpsampleBlock2D,
}

/// How one level becomes the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// A convolution.
    Conv,
    /// A residual block that pools, or doubles, after its first norm.
    Resnet,
}

/// How a residual block takes in the time embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// Added before the second norm.
    Default,
    /// Scale and shift after the second norm (Dhariwal & Nichol 2021, section 3.1).
    ScaleShift,
}

impl DiffusersUnetConfig {
    /// Returns the number of levels.
    pub(super) fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Returns the width of the time embedding.
    pub(super) fn time_width(&self) -> i64 {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels[0])
    }

    /// Returns the input channels of each residual block of level `i` on the way down.
    pub(super) fn down_inputs(&self, i: usize) -> Vec<i64> {
        let own = self.block_out_channels[i];
        let mut inputs = vec![own; self.layers_per_block as usize];
        inputs[0] = self.block_out_channels[i.saturating_sub(1)];
        inputs
    }

    /// Returns the channels of the `i`-th level on the way up.
    pub(super) fn up_width(&self, i: usize) -> i64 {
        self.block_out_channels[self.levels() - 1 - i]
    }

    /// Returns the input channels of each of its residual blocks, skip connection included.
    pub(super) fn up_inputs(&self, i: usize) -> Vec<i64> {
        let own = self.up_width(i);
        let below = self.up_width(i.saturating_sub(1));
        let above = self.up_width((i + 1).min(self.levels() - 1));
        (0..=self.layers_per_block)
            .map(|layer| {
                let input = if layer == 0 { below } else { own };
                let skip = if layer == self.layers_per_block { above } else { own };
                input + skip
            })
            .collect()
    }

    /// Returns how level `i` is halved on the way down.
    pub(super) fn downsampling(&self, i: usize) -> Resampling {
        match self.down_block_types[i] {
            DownBlockType::DownBlock2D => Resampling::Conv,
            DownBlockType::AttnDownBlock2D => self.downsample_type,
            DownBlockType::ResnetDownsampleBlock2D => Resampling::Resnet,
        }
    }

    /// Returns how the `i`-th level on the way up is doubled.
    pub(super) fn upsampling(&self, i: usize) -> Resampling {
        match self.up_block_types[i] {
            UpBlockType::UpBlock2D => Resampling::Conv,
            UpBlockType::AttnUpBlock2D => self.upsample_type,
            UpBlockType::ResnetUpsampleBlock2D => Resampling::Resnet,
        }
    }

    /// Returns the heads of an attention over `width` channels, and the channels of each; channels
    /// that fill no head are left out.
    pub(super) fn heads(&self, width: i64) -> (i64, i64) {
        let head_dim = self.attention_head_dim.unwrap_or(width);
        (width / head_dim, head_dim)
    }

    /// Returns the groups of the norm before the attention in the middle, if there is a norm.
    pub(super) fn mid_attention_groups(&self) -> Option<i64> {
        let with_norm = self.resnet_time_scale_shift == TimeScaleShift::Default;
        self.attn_norm_num_groups.or(with_norm.then_some(self.norm_num_groups))
    }
}
