//! Default settings for a data set; the command line overrides them one by one.

use ddpm_data::ItemShape;
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_network::{ModelConfig, ToyConfig, UnetConfig};

use crate::config::{
    DataConfig, DataOn, DiffusionConfig, EdmConfig, EvalConfig, ExportConfig, Intervals,
    OptimizerConfig, Precision, ProcessKind, TrainConfig, WatchConfig,
};

/// Side of the level that gets self-attention, where the network has one.
const ATTENTION_SIDE: usize = 16;

/// Passes over the data after which a run has learned what it can: the reference's 800,000 steps
/// on CIFAR-10.
const MOST_EPOCHS: usize = 2048;
/// Steps that even the smallest data set needs.
const FEWEST_STEPS: u32 = 20_000;

impl TrainConfig {
    /// Shortens the default run for a small data set: to 2,048 passes over it, but not below 20,000
    /// steps.
    ///
    /// * `items`: number of items in the data set.
    #[must_use]
    pub fn for_items(self, items: usize) -> Self {
        let passes = u32::try_from(MOST_EPOCHS.saturating_mul(items) / self.batch_size);
        let steps = self.steps.min(passes.unwrap_or(u32::MAX).max(FEWEST_STEPS));
        Self { steps, ..self }
    }

    /// Returns the settings that suit items of a shape: the reference's for points and for pictures
    /// of 32 pixels and more, a network of well under a million parameters for tiny pictures.
    ///
    /// * `classes`: names in the order of the labels; empty for an unconditional model.
    #[must_use]
    pub fn defaults(
        name: String,
        data: DataConfig,
        classes: Vec<String>,
        item_shape: ItemShape,
    ) -> Self {
        let conditional = !classes.is_empty();
        let num_classes = conditional.then_some(classes.len() as i64);
        let optimizer =
            OptimizerConfig { lr: 2e-4, beta1: 0.9, beta2: 0.999, warmup: 500, grad_norm: 1.0 };
        let common = Self {
            name,
            data,
            classes,
            model: ModelConfig::Toy(ToyConfig { num_classes, ..ToyConfig::default() }),
            diffusion: POINTS,
            batch_size: 1000,
            accumulation: 1,
            steps: 20_000,
            optimizer: OptimizerConfig { lr: 1e-3, warmup: 0, ..optimizer },
            ema_decay: 0.9999,
            label_dropout: if conditional { 0.1 } else { 0.0 },
            seed: 0,
            precision: Precision::Fp32,
            intervals: Intervals { checkpoint_every: 2000, sample_every: 2000, keep: 3 },
            watch: WatchConfig::default(),
            data_on: DataOn::default(),
            eval: EvalConfig::default(),
            export: ExportConfig::default(),
        };
        match item_shape {
            ItemShape::Points2d => common,
            ItemShape::Images { channels, height, width } => {
                let side = height.max(width);
                let size = Size::for_side(side);
                let unet = unet(channels, [height, width], num_classes, &size);
                Self {
                    model: ModelConfig::Unet(unet),
                    diffusion: IMAGES,
                    batch_size: 128,
                    steps: size.steps,
                    optimizer: OptimizerConfig { warmup: size.warmup, ..optimizer },
                    ..common
                }
            }
        }
    }
}

/// The reference's process for points. The smaller variance keeps narrow modes narrow.
const POINTS: DiffusionConfig = DiffusionConfig {
    process: ProcessKind::Discrete,
    beta_schedule: BetaSchedule::Linear,
    timesteps: 100,
    beta_start: 0.001,
    beta_end: 0.2,
    edm: EdmConfig::PAPER,
    prediction: Prediction::Eps,
    variance: Variance::FixedSmall,
    loss: None,
    min_snr: None,
};

/// The process of Ho et al. 2020.
const IMAGES: DiffusionConfig = DiffusionConfig {
    process: ProcessKind::Discrete,
    beta_schedule: BetaSchedule::Linear,
    timesteps: 1000,
    beta_start: 1e-4,
    beta_end: 0.02,
    edm: EdmConfig::PAPER,
    prediction: Prediction::Eps,
    variance: Variance::FixedLarge,
    loss: None,
    min_snr: None,
};

/// How large a network pictures of a given size need, and how long it trains.
struct Size {
    hid_channels: i64,
    num_groups: i64,
    ch_multipliers: Vec<i64>,
    num_res_blocks: i64,
    drop_rate: f64,
    apply_attn: Vec<bool>,
    steps: u32,
    warmup: u32,
}

impl Size {
    fn for_side(side: usize) -> Self {
        let size = |hid_channels, num_groups, ch_multipliers: &[i64], num_res_blocks| Self {
            hid_channels,
            num_groups,
            ch_multipliers: ch_multipliers.to_vec(),
            num_res_blocks,
            drop_rate: 0.0,
            apply_attn: vec![false; ch_multipliers.len()],
            steps: 20_000,
            warmup: 500,
        };
        // With 32 channels in 32 groups, normalisation would hide the timestep.
        match side {
            ..20 => size(32, 8, &[1, 2], 1),
            20..32 => Self { steps: 60_000, warmup: 1000, ..size(64, 32, &[1, 2, 2], 2) },
            _ => Self {
                drop_rate: if side < 64 { 0.1 } else { 0.0 },
                steps: 800_000,
                warmup: 5000,
                ..size(128, 32, if side < 64 { &[1, 2, 2, 2] } else { &[1, 2, 2, 2, 4] }, 2)
            },
        }
        .with_attention(side)
    }

    /// Adds attention to the level of 16 pixels, or to the second level for tiny pictures.
    fn with_attention(mut self, side: usize) -> Self {
        let at = |level: usize| side.div_ceil(1 << level);
        let level = (0..self.apply_attn.len()).find(|&level| at(level) <= ATTENTION_SIDE);
        if let Some(flag) = level.and_then(|level| self.apply_attn.get_mut(level.max(1))) {
            *flag = true;
        }
        self
    }
}

fn unet(
    channels: usize,
    [height, width]: [usize; 2],
    num_classes: Option<i64>,
    size: &Size,
) -> UnetConfig {
    UnetConfig {
        image_size: [height as i64, width as i64],
        in_channels: channels as i64,
        out_channels: channels as i64,
        hid_channels: size.hid_channels,
        ch_multipliers: size.ch_multipliers.clone(),
        num_res_blocks: size.num_res_blocks,
        apply_attn: size.apply_attn.clone(),
        drop_rate: size.drop_rate,
        num_groups: size.num_groups,
        num_classes,
        ..UnetConfig::cifar10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unet_for(side: usize) -> UnetConfig {
        let data = DataConfig { labels: false, ..DataConfig::from_source("glyphs") };
        let item_shape = ItemShape::Images { channels: 3, height: side, width: side };
        let config = TrainConfig::defaults("test".to_owned(), data, Vec::new(), item_shape);
        config.validate().unwrap();
        match config.model {
            ModelConfig::Unet(unet) => unet,
            other => panic!("pictures get a UNet, not {other:?}"),
        }
    }

    #[test]
    fn cifar10_gets_the_references_network() {
        let unet = unet_for(32);
        assert_eq!((unet.hid_channels, unet.num_groups, unet.num_res_blocks), (128, 32, 2));
        assert_eq!(unet.ch_multipliers, [1, 2, 2, 2]);
        assert_eq!(unet.apply_attn, [false, true, false, false]);
        assert_eq!(unet.drop_rate, 0.1);
    }

    #[test]
    fn a_small_data_set_gets_a_short_run_and_cifar10_the_references() {
        let data = DataConfig { labels: false, ..DataConfig::from_source("glyphs") };
        let item_shape = ItemShape::Images { channels: 3, height: 32, width: 32 };
        let config = TrainConfig::defaults("test".to_owned(), data, Vec::new(), item_shape);
        let steps = |items| config.clone().for_items(items).steps;
        assert_eq!([67, 5_000, 50_000, 1_000_000].map(steps), [20_000, 80_000, 800_000, 800_000]);
    }

    #[test]
    fn every_size_gets_a_network_that_is_valid_and_sees_the_timestep() {
        for side in [1, 8, 16, 28, 31, 32, 64, 256] {
            assert!(ModelConfig::Unet(unet_for(side)).warnings().is_empty(), "{side}");
        }
    }
}
