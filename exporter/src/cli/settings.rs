//! Flags that override the defaults of a run, one by one.

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

use super::names;
use crate::model::{ModelConfig, UnetConfig};
use crate::train::{Loss, Precision, ProcessKind, TrainConfig, TrainError};

/// What to train: fixed once a run has begun.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Recipe {
    /// Channels of the network's first level, or width of the network for points.
    #[arg(long, value_name = "N", help_heading = "Network")]
    hid_channels: Option<i64>,

    /// Channels of each level, as multiples of the first one's, such as 1,2,2.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Network")]
    ch_multipliers: Option<Vec<i64>>,

    /// Residual blocks a level.
    #[arg(long, value_name = "N", help_heading = "Network")]
    num_res_blocks: Option<i64>,

    /// Which levels have self-attention, such as false,true,false.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Network")]
    apply_attn: Option<Vec<bool>>,

    /// Groups of every GroupNorm; must divide every width.
    #[arg(long, value_name = "N", help_heading = "Network")]
    num_groups: Option<i64>,

    /// Dropout, in [0, 1).
    #[arg(long, value_name = "RATE", help_heading = "Network")]
    drop_rate: Option<f64>,

    /// Forward process [default: discrete].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    process: Option<ProcessKind>,

    /// T, the number of timesteps.
    #[arg(long, value_name = "T", help_heading = "Diffusion")]
    timesteps: Option<usize>,

    /// linear, quad, warmup10, warmup50, jsd, const or cosine.
    #[arg(long, value_name = "KIND", value_parser = names::beta_schedule, help_heading = "Diffusion")]
    beta_schedule: Option<BetaSchedule>,

    /// β at t = 0.
    #[arg(long, value_name = "BETA", help_heading = "Diffusion")]
    beta_start: Option<f64>,

    /// β at t = T−1.
    #[arg(long, value_name = "BETA", help_heading = "Diffusion")]
    beta_end: Option<f64>,

    /// Standard deviation of the data, for EDM [default: 0.5].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_data: Option<f64>,

    /// Least noise of sampling, for EDM [default: 0.002].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_min: Option<f64>,

    /// Largest noise of sampling, for EDM [default: 80].
    #[arg(long, value_name = "SIGMA", help_heading = "Diffusion")]
    sigma_max: Option<f64>,

    /// Mean of the log of sigma in training, for EDM [default: -1.2].
    #[arg(long, value_name = "MEAN", help_heading = "Diffusion", allow_hyphen_values = true)]
    p_mean: Option<f64>,

    /// Standard deviation of the log of sigma in training, for EDM [default: 1.2].
    #[arg(long, value_name = "SPREAD", help_heading = "Diffusion")]
    p_std: Option<f64>,

    /// What the network predicts: eps, x_0, mean or v; edm or flow [default: eps, or the process's
    /// own].
    #[arg(long, value_name = "KIND", value_parser = names::prediction, help_heading = "Diffusion")]
    prediction: Option<Prediction>,

    /// Variance of the sampler's steps: fixed-small, fixed-large, learned or learned-range.
    #[arg(long, value_name = "KIND", value_parser = names::variance, help_heading = "Diffusion")]
    variance: Option<Variance>,

    /// What is minimised [default: hybrid with a learned variance, mse otherwise].
    #[arg(long, value_enum, help_heading = "Diffusion")]
    loss: Option<Loss>,

    /// Items a step.
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch_size: Option<usize>,

    /// Learning rate after the warm-up.
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    lr: Option<f64>,

    /// Adam's decay of the mean of gradients.
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    beta1: Option<f64>,

    /// Adam's decay of the mean of squared gradients.
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    beta2: Option<f64>,

    /// Steps over which the learning rate grows to its full size.
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    warmup: Option<u32>,

    /// Largest norm of the gradients; 0: no limit.
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    grad_norm: Option<f64>,

    /// Decay of the moving average of the weights [default: 0.9999].
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    ema_decay: Option<f64>,

    /// How often a label is replaced by none [default: 0.1].
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    label_dropout: Option<f64>,

    /// Arithmetic of the network [default: fp32].
    #[arg(long, value_enum, help_heading = "Training")]
    precision: Option<Precision>,

    /// Seed of everything random [default: 0].
    #[arg(long, value_name = "SEED", help_heading = "Training")]
    pub(super) seed: Option<u64>,
}

/// How long to train and what to leave on the way: may change when a run goes on.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Pace {
    /// Steps in total.
    #[arg(long, value_name = "N")]
    steps: Option<u32>,

    /// Steps between checkpoints; 0: only at the end [default: 2000].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<u32>,

    /// Steps between grids of samples; 0: none [default: 2000].
    #[arg(long, value_name = "STEPS")]
    sample_every: Option<u32>,

    /// Checkpoints kept [default: 3].
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
}

impl Recipe {
    /// Overrides what was given.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a flag that the network does not have.
    pub(super) fn apply(&self, config: &mut TrainConfig) -> Result<(), TrainError> {
        match &mut config.model {
            ModelConfig::Unet(unet) => self.apply_to_unet(unet),
            ModelConfig::Toy(toy) => {
                self.refuse_unet_flags()?;
                set(&mut toy.mid_features, self.hid_channels);
            }
            // Networks of other programs come with their settings.
            ModelConfig::Diffusers(_) => self.refuse_unet_flags()?,
        }
        let diffusion = &mut config.diffusion;
        set(&mut diffusion.timesteps, self.timesteps);
        set(&mut diffusion.beta_schedule, self.beta_schedule);
        set(&mut diffusion.beta_start, self.beta_start);
        set(&mut diffusion.beta_end, self.beta_end);
        set(&mut diffusion.process, self.process);
        match diffusion.process {
            ProcessKind::Discrete => {}
            ProcessKind::Edm => diffusion.prediction = Prediction::Edm,
            ProcessKind::Flow => diffusion.prediction = Prediction::Flow,
        }
        set(&mut diffusion.edm.sigma_data, self.sigma_data);
        set(&mut diffusion.edm.sigma_min, self.sigma_min);
        set(&mut diffusion.edm.sigma_max, self.sigma_max);
        set(&mut diffusion.edm.p_mean, self.p_mean);
        set(&mut diffusion.edm.p_std, self.p_std);
        set(&mut diffusion.prediction, self.prediction);
        set(&mut diffusion.variance, self.variance);
        diffusion.loss = self.loss;
        config.model.set_learned_variance(config.diffusion.variance.is_learned());
        let optimizer = &mut config.optimizer;
        set(&mut optimizer.lr, self.lr);
        set(&mut optimizer.beta1, self.beta1);
        set(&mut optimizer.beta2, self.beta2);
        set(&mut optimizer.warmup, self.warmup);
        set(&mut optimizer.grad_norm, self.grad_norm);
        set(&mut config.batch_size, self.batch_size);
        set(&mut config.ema_decay, self.ema_decay);
        set(&mut config.label_dropout, self.label_dropout);
        set(&mut config.seed, self.seed);
        set(&mut config.precision, self.precision);
        Ok(())
    }

    fn apply_to_unet(&self, unet: &mut UnetConfig) {
        if let Some(multipliers) = &self.ch_multipliers {
            // Attention at the level it would have, as far as that level is there.
            unet.apply_attn.resize(multipliers.len(), false);
            unet.ch_multipliers.clone_from(multipliers);
        }
        set(&mut unet.hid_channels, self.hid_channels);
        set(&mut unet.num_res_blocks, self.num_res_blocks);
        set(&mut unet.apply_attn, self.apply_attn.clone());
        set(&mut unet.num_groups, self.num_groups);
        set(&mut unet.drop_rate, self.drop_rate);
    }

    fn refuse_unet_flags(&self) -> Result<(), TrainError> {
        let flags = [
            ("ch_multipliers", self.ch_multipliers.is_some()),
            ("num_res_blocks", self.num_res_blocks.is_some()),
            ("apply_attn", self.apply_attn.is_some()),
            ("num_groups", self.num_groups.is_some()),
            ("drop_rate", self.drop_rate.is_some()),
        ];
        match flags.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((setting, _)) => Err(TrainError::Setting {
                setting,
                problem: "is of networks for pictures; leave it out for points".to_owned(),
            }),
        }
    }
}

impl Pace {
    /// Overrides what was given.
    pub(super) fn apply(&self, config: &mut TrainConfig) {
        set(&mut config.steps, self.steps);
        set(&mut config.intervals.checkpoint_every, self.checkpoint_every);
        set(&mut config.intervals.sample_every, self.sample_every);
        set(&mut config.intervals.keep, self.keep);
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
