//! Flags and keys of optimisation.

use ddpm_training::{Precision, TrainConfig};
use serde::Deserialize;

use super::set::set;

/// How to train the network.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct TrainingFlags {
    /// Items per step.
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch_size: Option<usize>,

    /// Parts to split each batch into, to save memory; the step is the same [default: 1].
    #[arg(long, value_name = "N", help_heading = "Training")]
    accumulation: Option<usize>,

    /// Learning rate after the warm-up.
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    lr: Option<f64>,

    /// Adam's decay rate for the mean of gradients.
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    beta1: Option<f64>,

    /// Adam's decay rate for the mean of squared gradients.
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    beta2: Option<f64>,

    /// Steps over which the learning rate rises to its full value.
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    warmup: Option<u32>,

    /// Norm to clip the gradients to; 0: no limit.
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    grad_norm: Option<f64>,

    /// Decay of the weights' moving average; 0: the weights themselves [default: 0.9999].
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    ema_decay: Option<f64>,

    /// Probability of dropping a label [default: 0.1].
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    label_dropout: Option<f64>,

    /// Arithmetic of the network [default: fp32].
    #[arg(long, value_enum, help_heading = "Training")]
    precision: Option<Precision>,

    /// Items to hold out of training for the held-out loss; 0: none [default: 1 in 50, at most
    /// 256].
    #[arg(long, value_name = "N", help_heading = "Training")]
    held_out: Option<usize>,

    /// Seed of everything random [default: 0].
    #[arg(long, value_name = "SEED", help_heading = "Training")]
    pub(in crate::cli) seed: Option<u64>,
}

impl TrainingFlags {
    /// Overrides the settings that are set here.
    pub(super) fn apply(&self, config: &mut TrainConfig) {
        let optimizer = &mut config.optimizer;
        set(&mut optimizer.lr, self.lr);
        set(&mut optimizer.beta1, self.beta1);
        set(&mut optimizer.beta2, self.beta2);
        set(&mut optimizer.warmup, self.warmup);
        set(&mut optimizer.grad_norm, self.grad_norm);
        set(&mut config.batch_size, self.batch_size);
        set(&mut config.accumulation, self.accumulation);
        set(&mut config.ema_decay, self.ema_decay);
        set(&mut config.label_dropout, self.label_dropout);
        set(&mut config.seed, self.seed);
        set(&mut config.precision, self.precision);
        set(&mut config.watch.held_out, self.held_out);
    }
}
