//! Parts of the UNet: residual blocks, attention, and resampling between levels.

use super::config::UnetConfig;
use super::error::ConfigError;
use super::layers::{Conv, GroupNorm, Linear, NEARLY_ZERO, Scope};
use super::ops::Ops;

fn norm(scope: &Scope<'_>, width: i64, config: &UnetConfig) -> Result<GroupNorm, ConfigError> {
    GroupNorm::new(scope, width, config.num_groups, config.norm_eps)
}

/// x + conv(dropout(silu(norm(conv(silu(norm x)) + time)))).
#[derive(Debug)]
pub(crate) struct ResBlock {
    norm1: GroupNorm,
    conv1: Conv,
    fc: Linear,
    norm2: GroupNorm,
    conv2: Conv,
    /// Brings x to the output's width, where the two differ.
    skip: Option<Conv>,
    drop_rate: f64,
}

impl ResBlock {
    pub(crate) fn new(
        scope: &Scope<'_>,
        [inputs, outputs]: [i64; 2],
        config: &UnetConfig,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            norm1: norm(&scope.sub("norm1"), inputs, config)?,
            conv1: Conv::new(&scope.sub("conv1"), [inputs, outputs], 3, 1.0)?,
            fc: Linear::new(&scope.sub("fc"), [config.time_width(), outputs])?,
            norm2: norm(&scope.sub("norm2"), outputs, config)?,
            conv2: Conv::new(&scope.sub("conv2"), [outputs, outputs], 3, NEARLY_ZERO)?,
            skip: (inputs != outputs)
                .then(|| Conv::new(&scope.sub("skip"), [inputs, outputs], 1, 1.0))
                .transpose()?,
            drop_rate: config.drop_rate,
        })
    }

    /// * `x`: `[B, inputs, H, W]`; the result has `outputs` channels.
    /// * `time`: `[B, time_width]`, after its SiLU.
    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let h = self.conv1.forward(o, &o.silu(&self.norm1.forward(o, x)));
        let h = o.add_per_channel(&h, &self.fc.forward(o, time));
        let h = o.dropout(o.silu(&self.norm2.forward(o, &h)), self.drop_rate);
        let h = self.conv2.forward(o, &h);
        match &self.skip {
            Some(skip) => o.add(&skip.forward(o, x), &h),
            None => o.add(x, &h),
        }
    }
}

/// x + projected self-attention of norm x.
#[derive(Debug)]
pub(crate) struct AttentionBlock {
    /// The reference has it since October 2022.
    norm: Option<GroupNorm>,
    project_in: Conv,
    project_out: Conv,
}

impl AttentionBlock {
    pub(crate) fn new(
        scope: &Scope<'_>,
        width: i64,
        config: &UnetConfig,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            norm: config.attn_norm.then(|| norm(&scope.sub("norm"), width, config)).transpose()?,
            project_in: Conv::new(&scope.sub("project_in"), [width, 3 * width], 1, 1.0)?,
            project_out: Conv::new(&scope.sub("project_out"), [width, width], 1, NEARLY_ZERO)?,
        })
    }

    /// Maps `[B, width, H, W]` to the same shape.
    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        let qkv = match &self.norm {
            Some(norm) => self.project_in.forward(o, &norm.forward(o, x)),
            None => self.project_in.forward(o, x),
        };
        o.add(x, &self.project_out.forward(o, &o.attention(&qkv, 1)))
    }
}

/// A residual block, and attention on the levels that have it.
#[derive(Debug)]
pub(crate) struct Block {
    res: ResBlock,
    attention: Option<AttentionBlock>,
}

impl Block {
    /// Makes the block. With attention, names have one more number: `j.0` and `j.1` instead of `j`.
    pub(crate) fn new(
        scope: &Scope<'_>,
        widths: [i64; 2],
        with_attention: bool,
        config: &UnetConfig,
    ) -> Result<Self, ConfigError> {
        if !with_attention {
            return Ok(Self { res: ResBlock::new(scope, widths, config)?, attention: None });
        }
        let res = ResBlock::new(&scope.item(0), widths, config)?;
        let attention = AttentionBlock::new(&scope.item(1), widths[1], config)?;
        Ok(Self { res, attention: Some(attention) })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let h = self.res.forward(o, x, time);
        match &self.attention {
            Some(attention) => attention.forward(o, &h),
            None => h,
        }
    }
}

/// Halves height and width, rounding up.
#[derive(Debug)]
pub(crate) struct Downsample {
    /// Absent: an average pool.
    conv: Option<Conv>,
}

impl Downsample {
    /// * `level`: the one it leaves.
    pub(crate) fn new(
        scope: &Scope<'_>,
        level: usize,
        config: &UnetConfig,
    ) -> Result<Self, ConfigError> {
        let width = config.width(level);
        let [(top, bottom), (left, right)] = config.size(level).map(same_padding);
        let conv = config
            .resample_with_conv
            .then(|| Conv::new(&scope.item(1), [width, width], 3, 1.0))
            .transpose()?
            .map(|conv| conv.strided(2, [top, left, bottom, right]));
        Ok(Self { conv })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        match &self.conv {
            Some(conv) => conv.forward(o, x),
            None => o.average_pool2x2(x),
        }
    }
}

/// Returns TensorFlow's "SAME" padding of a 3-wide window at stride 2: zeros before and after.
///
/// The output has ⌈extent / 2⌉ elements; an odd zero goes to the end.
fn same_padding(extent: i64) -> (i64, i64) {
    let total = 2 * ((extent + 1) / 2 - 1) + 3 - extent;
    (total / 2, total - total / 2)
}

/// Doubles height and width, cropped to the size of the level above.
#[derive(Debug)]
pub(crate) struct Upsample {
    conv: Option<Conv>,
    /// Present where the level above is odd: the doubled image has a row or column too many.
    crop_to: Option<[i64; 2]>,
}

impl Upsample {
    /// * `level`: the one it leaves, at least 1.
    pub(crate) fn new(
        scope: &Scope<'_>,
        level: usize,
        config: &UnetConfig,
    ) -> Result<Self, ConfigError> {
        let width = config.width(level);
        let conv = config
            .resample_with_conv
            .then(|| Conv::new(&scope.item(1), [width, width], 3, 1.0))
            .transpose()?;
        let target = config.size(level - 1);
        let crop_to = (config.size(level).map(|extent| 2 * extent) != target).then_some(target);
        Ok(Self { conv, crop_to })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        match (&self.conv, self.crop_to) {
            (Some(conv), None) => conv.forward_doubled(o, x),
            (Some(conv), Some(size)) => conv.forward(o, &o.crop(&o.upsample2x(x), size)),
            (None, None) => o.upsample2x(x),
            (None, Some(size)) => o.crop(&o.upsample2x(x), size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_one_zero_at_the_end_of_even_and_one_on_each_side_of_odd_extents() {
        assert_eq!([2, 8, 32].map(same_padding), [(0, 1); 3]);
        assert_eq!([1, 3, 17].map(same_padding), [(1, 1); 3]);
    }
}
