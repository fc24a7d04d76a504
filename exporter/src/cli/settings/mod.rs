//! Settings of a run, under the same names as flags, environment variables and keys of a file. Each
//! overrides earlier layers if it is set.

mod set;

mod network;
pub(super) use network::NetworkFlags;

mod diffusion;
pub(super) use diffusion::DiffusionFlags;

mod training;
pub(super) use training::TrainingFlags;

mod span;

mod pace;
pub(super) use pace::PaceFlags;

mod export;
pub(super) use export::ExportFlags;

use ddpm_training::{TrainConfig, TrainError};

/// What to train; fixed once a run has started.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RunFlags {
    #[command(flatten)]
    pub(super) network: NetworkFlags,

    #[command(flatten)]
    pub(super) diffusion: DiffusionFlags,

    #[command(flatten)]
    pub(super) training: TrainingFlags,
}

impl RunFlags {
    /// Overrides the settings that are set here.
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
