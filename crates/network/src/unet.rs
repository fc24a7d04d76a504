//! The UNet of DDPM: levels of residual blocks on the way down, the same back up, and skip
//! connections between the two.

use super::blocks::{AttentionBlock, Block, Downsample, ResBlock, Upsample};
use super::config::UnetConfig;
use super::error::ConfigError;
use super::inputs::Inputs;
use super::layers::{Conv, GroupNorm, Linear, NEARLY_ZERO, Scope};
use super::ops::Ops;
use super::time::{Condition, timestep_embedding};

/// The network for images; see [`UnetConfig`] for the source.
#[derive(Debug)]
pub(crate) struct Unet {
    hid_channels: i64,
    block_size: i64,
    embed: [Linear; 2],
    in_conv: Conv,
    down: Vec<DownLevel>,
    middle: (ResBlock, AttentionBlock, ResBlock),
    up: Vec<UpLevel>,
    out_norm: GroupNorm,
    out_conv: Conv,
    condition: Condition,
}

impl Unet {
    /// Makes the parts in the order of the reference's state dictionary.
    pub(crate) fn new(scope: &Scope<'_>, config: &UnetConfig) -> Result<Self, ConfigError> {
        let (hid, time) = (config.hid_channels, config.time_width());
        let inputs = config.in_channels * config.block_area();
        let outputs = config.out_channels * config.block_area();
        let bottom = config.width(config.levels() - 1);
        let [embed, downsamples, middle, upsamples, out] =
            ["embed", "downsamples", "middle", "upsamples", "out_conv"].map(|part| scope.sub(part));
        Ok(Self {
            hid_channels: hid,
            block_size: config.block_size,
            embed: [
                Linear::new(&embed.item(0), [hid, time])?,
                Linear::new(&embed.item(2), [time, time])?,
            ],
            in_conv: Conv::new(&scope.sub("in_conv"), [inputs, hid], 3, 1.0)?,
            down: levels(&downsamples, config, DownLevel::new)?,
            middle: (
                ResBlock::new(&middle.item(0), [bottom, bottom], config)?,
                AttentionBlock::new(&middle.item(1), bottom, config)?,
                ResBlock::new(&middle.item(2), [bottom, bottom], config)?,
            ),
            up: levels(&upsamples, config, UpLevel::new)?,
            out_norm: GroupNorm::new(&out.item(0), hid, config.num_groups, config.norm_eps)?,
            out_conv: Conv::new(&out.item(2), [hid, outputs], 3, NEARLY_ZERO)?,
            condition: Condition::new(scope, config.num_classes, time)?,
        })
    }

    /// Maps `[B, in_channels, H, W]` to `[B, out_channels, H, W]`.
    pub(crate) fn forward<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let time = self.time(o, inputs);
        let mut skips = vec![self.in_conv(o, &inputs.sample)];
        for level in &self.down {
            level.forward(o, &mut skips, &time);
        }
        let mut h = self.middle(o, last(&skips), &time);
        for level in self.up.iter().rev() {
            h = level.forward(o, h, &mut skips, &time);
        }
        self.out_conv(o, &o.silu(&self.out_norm.forward(o, &h)))
    }

    fn in_conv<O: Ops>(&self, o: &O, sample: &O::T) -> O::T {
        match self.block_size {
            1 => self.in_conv.forward(o, sample),
            block => self.in_conv.forward(o, &o.pixel_unshuffle(sample, block)),
        }
    }

    fn out_conv<O: Ops>(&self, o: &O, h: &O::T) -> O::T {
        let outputs = self.out_conv.forward(o, h);
        match self.block_size {
            1 => outputs,
            block => o.pixel_shuffle(&outputs, block),
        }
    }

    /// Embeds the time and the class for every residual block, with the SiLU that each would begin
    /// with.
    fn time<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let sinusoids = timestep_embedding(o, &inputs.timestep, self.hid_channels);
        let hidden = o.silu(&self.embed[0].forward(o, &sinusoids));
        let time = self.embed[1].forward(o, &hidden);
        o.silu(&self.condition.forward(o, time, inputs.class_labels.as_ref()))
    }

    fn middle<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let (first, attention, second) = &self.middle;
        let h = first.forward(o, x, time);
        second.forward(o, &attention.forward(o, &h), time)
    }
}

/// Blocks at one size, then the step to half of it. Each output becomes a skip connection.
#[derive(Debug)]
struct DownLevel {
    blocks: Vec<Block>,
    downsample: Option<Downsample>,
}

impl DownLevel {
    fn new(scope: &Scope<'_>, level: usize, config: &UnetConfig) -> Result<Self, ConfigError> {
        let width = config.width(level);
        let mut inputs = vec![width; config.num_res_blocks as usize];
        inputs[0] = config.down_input(level);
        let blocks = blocks(scope, level, &inputs, config)?;
        let downsample = (level + 1 < config.levels())
            .then(|| Downsample::new(&scope.item(blocks.len()), level, config))
            .transpose()?;
        Ok(Self { blocks, downsample })
    }

    fn forward<O: Ops>(&self, o: &O, skips: &mut Vec<O::T>, time: &O::T) {
        for block in &self.blocks {
            skips.push(block.forward(o, last(skips), time));
        }
        if let Some(downsample) = &self.downsample {
            skips.push(downsample.forward(o, last(skips)));
        }
    }
}

/// Blocks that each take in one skip connection, then the step to twice the size.
#[derive(Debug)]
struct UpLevel {
    blocks: Vec<Block>,
    upsample: Option<Upsample>,
}

impl UpLevel {
    fn new(scope: &Scope<'_>, level: usize, config: &UnetConfig) -> Result<Self, ConfigError> {
        let blocks = blocks(scope, level, &config.up_inputs(level), config)?;
        let upsample = (level > 0)
            .then(|| Upsample::new(&scope.item(blocks.len()), level, config))
            .transpose()?;
        Ok(Self { blocks, upsample })
    }

    fn forward<O: Ops>(&self, o: &O, mut h: O::T, skips: &mut Vec<O::T>, time: &O::T) -> O::T {
        for block in &self.blocks {
            let skip = skips.pop().expect("the way up has as many blocks as the way down outputs");
            h = block.forward(o, &o.concat(&[&h, &skip]), time);
        }
        match &self.upsample {
            Some(upsample) => upsample.forward(o, &h),
            None => h,
        }
    }
}

/// Makes the parts `level_0`, `level_1`, … of the way down or up.
fn levels<L>(
    scope: &Scope<'_>,
    config: &UnetConfig,
    make: impl Fn(&Scope<'_>, usize, &UnetConfig) -> Result<L, ConfigError>,
) -> Result<Vec<L>, ConfigError> {
    (0..config.levels())
        .map(|level| make(&scope.sub(&format!("level_{level}")), level, config))
        .collect()
}

/// Makes the blocks `0`, `1`, … of a level, one per width in `inputs`.
fn blocks(
    scope: &Scope<'_>,
    level: usize,
    inputs: &[i64],
    config: &UnetConfig,
) -> Result<Vec<Block>, ConfigError> {
    let (width, attention) = (config.width(level), config.apply_attn[level]);
    inputs
        .iter()
        .enumerate()
        .map(|(j, &input)| Block::new(&scope.item(j), [input, width], attention, config))
        .collect()
}

fn last<T>(skips: &[T]) -> &T {
    skips.last().expect("the way down starts with in_conv's output")
}
