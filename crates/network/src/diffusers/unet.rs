//! The diffusers UNet: its levels, down and up, and the steps between them.

use super::blocks::{Attention, ResnetBlock, Size};
use super::config::{DiffusersUnetConfig, DownBlockType, Resampling, UpBlockType};
use crate::error::ConfigError;
use crate::inputs::Inputs;
use crate::layers::{ClassEmbedding, Conv, GroupNorm, Linear, NEARLY_ZERO, Scope};
use crate::ops::Ops;
use crate::time::diffusers_embedding;

/// The network; see [`DiffusersUnetConfig`].
#[derive(Debug)]
pub(crate) struct DiffusersUnet {
    config: DiffusersUnetConfig,
    conv_in: Conv,
    time_embedding: [Linear; 2],
    class_embedding: Option<ClassEmbedding>,
    down: Vec<DownLevel>,
    middle: Option<Middle>,
    up: Vec<UpLevel>,
    conv_norm_out: GroupNorm,
    conv_out: Conv,
}

impl DiffusersUnet {
    /// Makes the parts under the names of diffusers.
    pub(crate) fn new(
        scope: &Scope<'_>,
        config: &DiffusersUnetConfig,
    ) -> Result<Self, ConfigError> {
        let (first, time) = (config.block_out_channels[0], config.time_width());
        let embedding = scope.sub("time_embedding");
        let (down, up) = (scope.sub("down_blocks"), scope.sub("up_blocks"));
        let classes = |count| ClassEmbedding::new(&scope.sub("class_embedding"), count, time);
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            config: config.clone(),
            conv_in: Conv::new(&scope.sub("conv_in"), [config.in_channels, first], 3, 1.0)?,
            time_embedding: [
                Linear::new(&embedding.sub("linear_1"), [first, time])?,
                Linear::new(&embedding.sub("linear_2"), [time, time])?,
            ],
            class_embedding: config.num_classes.map(classes).transpose()?,
            down: (0..config.levels())
                .map(|i| DownLevel::new(&down.item(i), i, config))
                .collect::<Result<_, _>>()?,
            middle: config
                .mid_block
                .then(|| Middle::new(&scope.sub("mid_block"), config))
                .transpose()?,
            up: (0..config.levels())
                .map(|i| UpLevel::new(&up.item(i), i, config))
                .collect::<Result<_, _>>()?,
            conv_norm_out: GroupNorm::new(&scope.sub("conv_norm_out"), first, groups, eps)?,
            conv_out: Conv::new(
                &scope.sub("conv_out"),
                [first, config.out_channels],
                3,
                NEARLY_ZERO,
            )?,
        })
    }

    /// Maps `[B, in_channels, H, W]` to `[B, out_channels, H, W]`.
    pub(crate) fn forward<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let time = self.time(o, inputs);
        let mut skips = vec![match self.config.center_input_sample {
            true => self.conv_in.forward(o, &o.affine(&inputs.sample, 2.0, -1.0)),
            false => self.conv_in.forward(o, &inputs.sample),
        }];
        for level in &self.down {
            level.forward(o, &mut skips, &time);
        }
        let mut h = self.middle.as_ref().map(|middle| middle.forward(o, last(&skips), &time));
        for level in &self.up {
            h = Some(level.forward(o, h, &mut skips, &time));
        }
        let h = h.expect("there is at least one level");
        self.conv_out.forward(o, &o.silu(&self.conv_norm_out.forward(o, &h)))
    }

    /// Embeds the time and the class for every residual block, with the SiLU that each would begin
    /// with.
    fn time<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let DiffusersUnetConfig { freq_shift, flip_sin_to_cos, .. } = self.config;
        let width = self.config.block_out_channels[0];
        let sinusoids =
            diffusers_embedding(o, &inputs.timestep, width, freq_shift, flip_sin_to_cos);
        let hidden = o.silu(&self.time_embedding[0].forward(o, &sinusoids));
        let time = self.time_embedding[1].forward(o, &hidden);
        match (&self.class_embedding, &inputs.class_labels) {
            (Some(classes), Some(labels)) => o.silu(&o.add(&time, &classes.forward(o, labels))),
            _ => o.silu(&time),
        }
    }
}

/// A residual block, and attention on the levels that have it.
#[derive(Debug)]
struct Layer {
    resnet: ResnetBlock,
    attention: Option<Attention>,
}

impl Layer {
    /// Makes the layers `0`, `1`, … of a level, one per width in `inputs`.
    fn list(
        scope: &Scope<'_>,
        inputs: &[i64],
        width: i64,
        attends: bool,
        config: &DiffusersUnetConfig,
    ) -> Result<Vec<Self>, ConfigError> {
        let (resnets, attentions) = (scope.sub("resnets"), scope.sub("attentions"));
        let layer = |(j, &input): (usize, &i64)| {
            let groups = Some(config.norm_num_groups);
            Ok(Self {
                resnet: ResnetBlock::new(&resnets.item(j), [input, width], Size::Keep, config)?,
                attention: attends
                    .then(|| Attention::new(&attentions.item(j), width, groups, config))
                    .transpose()?,
            })
        };
        inputs.iter().enumerate().map(layer).collect()
    }

    fn forward<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let h = self.resnet.forward(o, x, time);
        match &self.attention {
            Some(attention) => attention.forward(o, &h),
            None => h,
        }
    }
}

/// The step from one level to the next.
#[derive(Debug)]
enum Resample {
    Conv(Conv),
    Resnet(Box<ResnetBlock>),
}

/// Layers at one size, then the step to half of it. Each output becomes a skip connection.
#[derive(Debug)]
struct DownLevel {
    layers: Vec<Layer>,
    downsampler: Option<Resample>,
}

impl DownLevel {
    fn new(scope: &Scope<'_>, i: usize, config: &DiffusersUnetConfig) -> Result<Self, ConfigError> {
        let width = config.block_out_channels[i];
        let attends = config.down_block_types[i] == DownBlockType::AttnDownBlock2D;
        let layers = Layer::list(scope, &config.down_inputs(i), width, attends, config)?;
        let sampler = scope.sub("downsamplers").item(0);
        let downsampler = || match config.downsampling(i) {
            Resampling::Conv => {
                // Without padding, diffusers adds the missing zeros at the end.
                let pads = if config.downsample_padding == 0 { [0, 0, 1, 1] } else { [1; 4] };
                let conv = Conv::new(&sampler.sub("conv"), [width, width], 3, 1.0)?;
                Ok::<_, ConfigError>(Resample::Conv(conv.strided(2, pads)))
            }
            Resampling::Resnet => {
                let resnet = ResnetBlock::new(&sampler, [width, width], Size::Halve, config)?;
                Ok(Resample::Resnet(Box::new(resnet)))
            }
        };
        let is_last = i + 1 == config.levels();
        Ok(Self { layers, downsampler: (!is_last).then(downsampler).transpose()? })
    }

    fn forward<O: Ops>(&self, o: &O, skips: &mut Vec<O::T>, time: &O::T) {
        for layer in &self.layers {
            skips.push(layer.forward(o, last(skips), time));
        }
        match &self.downsampler {
            Some(Resample::Conv(conv)) => skips.push(conv.forward(o, last(skips))),
            Some(Resample::Resnet(resnet)) => skips.push(resnet.forward(o, last(skips), time)),
            None => {}
        }
    }
}

/// `UNetMidBlock2D`.
#[derive(Debug)]
struct Middle {
    first: ResnetBlock,
    attention: Option<Attention>,
    second: ResnetBlock,
}

impl Middle {
    fn new(scope: &Scope<'_>, config: &DiffusersUnetConfig) -> Result<Self, ConfigError> {
        let width = config.block_out_channels[config.levels() - 1];
        let resnet =
            |j| ResnetBlock::new(&scope.sub("resnets").item(j), [width, width], Size::Keep, config);
        let attention = || {
            let groups = config.mid_attention_groups();
            Attention::new(&scope.sub("attentions").item(0), width, groups, config)
        };
        Ok(Self {
            first: resnet(0)?,
            attention: config.add_attention.then(attention).transpose()?,
            second: resnet(1)?,
        })
    }

    fn forward<O: Ops>(&self, o: &O, x: &O::T, time: &O::T) -> O::T {
        let h = self.first.forward(o, x, time);
        match &self.attention {
            Some(attention) => self.second.forward(o, &attention.forward(o, &h), time),
            None => self.second.forward(o, &h, time),
        }
    }
}

/// Layers that each take in one skip connection, then the step to twice the size.
#[derive(Debug)]
struct UpLevel {
    layers: Vec<Layer>,
    upsampler: Option<Resample>,
}

impl UpLevel {
    fn new(scope: &Scope<'_>, i: usize, config: &DiffusersUnetConfig) -> Result<Self, ConfigError> {
        let width = config.up_width(i);
        let attends = config.up_block_types[i] == UpBlockType::AttnUpBlock2D;
        let layers = Layer::list(scope, &config.up_inputs(i), width, attends, config)?;
        let sampler = scope.sub("upsamplers").item(0);
        let upsampler = || match config.upsampling(i) {
            Resampling::Conv => {
                let conv = Conv::new(&sampler.sub("conv"), [width, width], 3, 1.0)?;
                Ok::<_, ConfigError>(Resample::Conv(conv))
            }
            Resampling::Resnet => {
                let resnet = ResnetBlock::new(&sampler, [width, width], Size::Double, config)?;
                Ok(Resample::Resnet(Box::new(resnet)))
            }
        };
        let is_last = i + 1 == config.levels();
        Ok(Self { layers, upsampler: (!is_last).then(upsampler).transpose()? })
    }

    /// * `below`: the output of the level below; absent: the last skip connection, used twice.
    fn forward<O: Ops>(
        &self,
        o: &O,
        below: Option<O::T>,
        skips: &mut Vec<O::T>,
        time: &O::T,
    ) -> O::T {
        let mut below = below;
        for layer in &self.layers {
            let skip = skips.pop().expect("the way up has as many layers as the way down outputs");
            let joined = o.concat(&[below.as_ref().unwrap_or(&skip), &skip]);
            below = Some(layer.forward(o, &joined, time));
        }
        let h = below.expect("every level has a layer");
        match &self.upsampler {
            Some(Resample::Conv(conv)) => conv.forward_doubled(o, &h),
            Some(Resample::Resnet(resnet)) => resnet.forward(o, &h, time),
            None => h,
        }
    }
}

fn last<T>(skips: &[T]) -> &T {
    skips.last().expect("the way down starts with conv_in's output")
}
