//! c10d: processes that train one network together.
//!
//! * [`Launch`]: who this process is and where the others meet, from the variables of `torchrun`,
//!   of Slurm, or set by hand;
//! * [`ProcessGroup`]: the processes, once they have met, and their collectives;
//! * [`Work`]: a collective under way;
//! * [`Reducer`]: averages gradients while the backward pass still runs.

use std::time::Duration;

mod launch;
pub use launch::{Launch, LaunchError};

mod group;
pub use group::{Backend, HAS_NCCL, ProcessGroup, Reduce, Work};

mod reducer;
pub use reducer::Reducer;

/// Why processes do not work together, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Set the variables, or launch with something that does.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Start every rank, with the same address and the same kind of device.
    #[error(
        "rank {rank} of {world_size} did not meet the others at {address}: {reason}; check that all \
         {world_size} ranks were started, that MASTER_ADDR and MASTER_PORT are the same for all and can \
         be reached, and that nothing else listens on that port"
    )]
    Join {
        /// Of this process.
        rank: usize,
        /// How many were expected.
        world_size: usize,
        /// Where they meet.
        address: String,
        /// c10d's own words.
        reason: String,
    },
    /// Look at what the other ranks say: the one that ended first has the reason.
    #[error(
        "rank {rank} of {world_size} lost the others in {doing}: {reason}; another rank ended or was \
         silent for {} s: the one that failed first says why",
        timeout.as_secs()
    )]
    Lost {
        /// Of this process.
        rank: usize,
        /// How many there were.
        world_size: usize,
        /// Which collective.
        doing: &'static str,
        /// How long a collective may take.
        timeout: Duration,
        /// c10d's own words.
        reason: String,
    },
    /// Build with NCCL, or compute on the CPU.
    #[error(
        "this build has no NCCL, which GPUs need to work together: build it with the CUDA libraries of \
         `make setup DEVICE=cuda` (LIBTORCH=.runtime-cuda/torch), or compute on the CPU"
    )]
    NoNccl,
}
