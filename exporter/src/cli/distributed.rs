//! Flags of training on several processes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ddpm_console::{at_least_one, note};
use ddpm_torch::distributed::{GroupError, Launch};
use ddpm_training::distributed::Team;
use tch::Device;

use super::Failure;

/// Seconds that a rank may be silent; PyTorch's default.
const DEFAULT_TIMEOUT: u32 = 1800;

/// Whether and how to train on several processes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DistributedArgs {
    /// Train on the processes started by torchrun or srun, or described by RANK, WORLD_SIZE,
    /// LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Each takes an equal share of every batch, on the
    /// CPU or on the GPU of its LOCAL_RANK; rank 0 writes the run.
    #[arg(long, help_heading = "Distributed")]
    distributed: bool,

    /// Seconds after which a silent rank counts as lost [default: 1800].
    #[arg(long, value_name = "SECONDS", requires = "distributed", help_heading = "Distributed")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    dist_timeout: Option<NonZeroU32>,
}

impl DistributedArgs {
    /// Returns whether several processes train together.
    pub(super) fn is_set(&self) -> bool {
        self.distributed
    }

    /// Returns the identity of this process if it trains with others.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] if the environment does not describe the processes, or describes some
    /// that are not meant to train together.
    pub(super) fn launch(&self) -> Result<Option<Launch>, Failure> {
        if !self.distributed {
            Launch::check_alone().map_err(GroupError::from)?;
        }
        Ok(self.distributed.then(Launch::from_env).transpose().map_err(GroupError::from)?)
    }

    /// Connects to the other processes.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if they do not connect in time.
    pub(super) fn join(&self, launch: Launch, device: Device) -> Result<Arc<Team>, Failure> {
        let timeout = self.dist_timeout.map_or(DEFAULT_TIMEOUT, NonZeroU32::get);
        let team = Team::join(launch, device, Duration::from_secs(timeout.into()))?;
        if team.leads() {
            note!("{} processes train together", team.size());
        }
        Ok(Arc::new(team))
    }
}
