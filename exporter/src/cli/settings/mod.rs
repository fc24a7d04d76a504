//! Settings of a run: the same words as flags, as environment variables and as keys of a file. Each
//! is absent unless it was said, and overrides what was said before.

mod network;
pub(super) use network::Network;

mod diffusion;
pub(super) use diffusion::Diffusion;

mod training;
pub(super) use training::Training;

mod span;
use span::Span;

mod pace;
pub(super) use pace::Pace;

use crate::train::{TrainConfig, TrainError};

/// What to train: fixed once a run has begun.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Recipe {
    #[command(flatten)]
    pub(super) network: Network,

    #[command(flatten)]
    pub(super) diffusion: Diffusion,

    #[command(flatten)]
    pub(super) training: Training,
}

impl Recipe {
    /// Overrides what was given.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a setting that the network does not have.
    pub(super) fn apply(&self, config: &mut TrainConfig) -> Result<(), TrainError> {
        self.network.apply(&mut config.model)?;
        self.diffusion.apply(&mut config.diffusion);
        config.model.set_learned_variance(config.diffusion.variance.is_learned());
        self.training.apply(config);
        Ok(())
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
