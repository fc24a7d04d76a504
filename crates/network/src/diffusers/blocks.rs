//! Residual blocks and attention of a diffusers UNet.

use super::config::{DiffusersUnetConfig, TimeScaleShift};
use crate::error::ConfigError;
use crate::layers::{Conv, GroupNorm, Linear, NEARLY_ZERO, Scope};
use crate::ops::Ops;

/// The change that a residual block makes to the size of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    /// Nothing.
    Keep,
    /// Means of 2 × 2 pixels.
    Halve,
    /// Every pixel repeated four times.
    Double,
}

impl Size {
    fn change<O: Ops>(self, o: &O, x: &O::T) -> Option<O::T> {
        match self {
            Self::Keep => None,
            Self::Halve => Some(o.average_pool2x2(x)),
            Self::Double => Some(o.upsample2x(x)),
        }
    }
}

/// `ResnetBlock2D`: two convolutions, with the time embedding in between.
#[derive(Debug)]
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv,
    /// Brings x to the output's width, where the two differ.
    conv_shortcut: Option<Conv>,
    time: TimeScaleShift,
    size: Size,
    dropout: f64,
}

impl ResnetBlock {
    pub(super) fn new(
        scope: &Scope<'_>,
        [inputs, outputs]: [i64; 2],
        size: Size,
        config: &DiffusersUnetConfig,
    ) -> Result<Self, ConfigError> {
        let norm = |name: &str, width| {
            GroupNorm::new(&scope.sub(name), width, config.norm_num_groups, config.norm_eps)
        };
        let time_outputs = match config.resnet_time_scale_shift {
            TimeScaleShift::Default => outputs,
            TimeScaleShift::ScaleShift => 2 * outputs,
        };
        Ok(Self {
            norm1: norm("norm1", inputs)?,
            conv1: Conv::new(&scope.sub("conv1"), [inputs, outputs], 3, 1.0)?,
            time_emb_proj: Linear::new(
                &scope.sub("time_emb_proj"),
                [config.time_width(), time_outputs],
            )?,
            norm2: norm("norm2", outputs)?,
            conv2: Conv::new(&scope.sub("conv2"), [outputs, outputs], 3, NEARLY_ZERO)?,
            conv_shortcut: (inputs != outputs)
                .then(|| Conv::new(&scope.sub("conv_shortcut"), [inputs, outputs], 1, 1.0))
                .transpose()?,
            time: config.resnet_time_scale_shift,
            size,
            dropout: config.dropout,
        })
    }

    /// * `x`: `[B, inputs, H, W]`; the result has `outputs` channels, and half or double the size.
    /// * `time`: `[B, time_width]`, after its SiLU.
    pub(super) fn forward<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let h = o.silu(&self.norm1.forward(o, x));
        let h = self.size.change(o, &h).unwrap_or(h);
        let h = self.conv1.forward(o, &h);
        let time = self.time_emb_proj.forward(o, time);
        let h = match self.time {
            TimeScaleShift::Default => self.norm2.forward(o, &o.add_per_channel(&h, &time)),
            TimeScaleShift::ScaleShift => {
                o.scale_shift_per_channel(&self.norm2.forward(o, &h), &time)
            }
        };
        let h = self.conv2.forward(o, &o.dropout(o.silu(&h), self.dropout));
        let resized = self.size.change(o, x);
        let x = resized.as_ref().unwrap_or(x);
        match &self.conv_shortcut {
            Some(shortcut) => o.add(&shortcut.forward(o, x), &h),
            None => o.add(x, &h),
        }
    }
}

/// `Attention` over pixels: x + projected self-attention of norm x.
#[derive(Debug)]
pub(super) struct Attention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: i64,
}

impl Attention {
    /// * `groups`: of the norm; absent: no norm.
    pub(super) fn new(
        scope: &Scope<'_>,
        width: i64,
        groups: Option<i64>,
        config: &DiffusersUnetConfig,
    ) -> Result<Self, ConfigError> {
        let (heads, head_dim) = config.heads(width);
        let inner = heads * head_dim;
        let project = |name: &str| Linear::new(&scope.sub(name), [width, inner]);
        Ok(Self {
            group_norm: groups
                .map(|groups| {
                    GroupNorm::new(&scope.sub("group_norm"), width, groups, config.norm_eps)
                })
                .transpose()?,
            to_q: project("to_q")?,
            to_k: project("to_k")?,
            to_v: project("to_v")?,
            to_out: Linear::new(&scope.sub("to_out").item(0), [inner, width])?,
            heads,
        })
    }

    /// Maps `[B, width, H, W]` to the same shape.
    pub(super) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        let normed = self.group_norm.as_ref().map(|norm| norm.forward(o, x));
        let h = normed.as_ref().unwrap_or(x);
        let [q, k, v] =
            [&self.to_q, &self.to_k, &self.to_v].map(|project| project.forward_pixels(o, h));
        let mixed = o.attention(&o.concat(&[&q, &k, &v]), self.heads);
        o.add(x, &self.to_out.forward_pixels(o, &mixed))
    }
}
