//! Flags of training on several processes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ddpm_torch::distributed::{GroupError, Launch};
use tch::Device;

use super::Failure;
use crate::train::distributed::Team;

/// Seconds that a rank may be silent: PyTorch's half an hour.
const TIMEOUT: u32 = 1800;

/// Several processes, one run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DistributedArgs {
    /// Train on the processes that torchrun or srun has started, or that RANK, WORLD_SIZE,
    /// LOCAL_RANK, MASTER_ADDR and MASTER_PORT tell of. Each takes an equal share of every batch, on
    /// the CPU or on the GPU of its LOCAL_RANK; rank 0 writes.
    #[arg(long, help_heading = "Distributed")]
    distributed: bool,

    /// Seconds after which ranks give up one that is silent [default: 1800].
    #[arg(long, value_name = "SECONDS", requires = "distributed", help_heading = "Distributed")]
    dist_timeout: Option<NonZeroU32>,
}

impl DistributedArgs {
    /// Who this process is, if it is to train with others.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] if that is asked for, and nothing says with whom.
    pub(super) fn launch(&self) -> Result<Option<Launch>, Failure> {
        Ok(self.distributed.then(Launch::from_env).transpose().map_err(GroupError::from)?)
    }

    /// Meets the other processes.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if they do not come.
    pub(super) fn join(&self, launch: Launch, device: Device) -> Result<Arc<Team>, Failure> {
        let timeout = self.dist_timeout.map_or(TIMEOUT, NonZeroU32::get);
        let team = Team::join(launch, device, Duration::from_secs(timeout.into()))?;
        if team.leads() {
            eprintln!("{} processes train together", team.size());
        }
        Ok(Arc::new(team))
    }
}
