//! c10d: processes that train one network together.
//!
//! * [`Launch`]: the rank of this process and the meeting address, from the variables of `torchrun`
//!   or Slurm, or set by hand;
//! * [`ProcessGroup`]: the connected processes, and their collectives;
//! * [`Work`]: a collective in progress;
//! * [`Reducer`]: averages gradients during the backward pass.

use std::time::Duration;

mod launch;
pub use launch::{Launch, LaunchError};

mod group;
pub use group::{Backend, HAS_NCCL, ProcessGroup, Reduce, Work};

mod reducer;
pub use reducer::Reducer;

/// Why processes cannot start or continue to work together.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Set the variables, or use a launcher that does.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Start every rank, with the same address and the same kind of device.
    #[error(
        "rank {rank} of {world_size} did not meet the others at {address}: {reason}; check that \
         all {world_size} ranks were started, that MASTER_ADDR and MASTER_PORT are the same for \
         all and can be reached, and that nothing else listens on that port"
    )]
    Join {
        /// Rank of this process.
        rank: usize,
        /// Number of expected ranks.
        world_size: usize,
        /// The meeting address.
        address: String,
        /// c10d's message.
        reason: String,
    },
    /// Look at the messages of the other ranks: the one that ended first has the reason.
    #[error(
        "rank {rank} of {world_size} lost the others in {doing}: {reason}; another rank ended or \
         was silent for {} s: the message of the one that failed first gives the reason",
        timeout.as_secs()
    )]
    Lost {
        /// Rank of this process.
        rank: usize,
        /// Number of ranks.
        world_size: usize,
        /// The collective that failed.
        doing: &'static str,
        /// Time limit of a collective.
        timeout: Duration,
        /// c10d's message.
        reason: String,
    },
    /// Build with NCCL, or compute on the CPU.
    #[error(
        "this build has no NCCL, which GPUs need to work together: build it with the CUDA \
         libraries of `make setup DEVICE=cuda` (LIBTORCH=.runtime-cuda/torch), or compute on the \
         CPU"
    )]
    NoNccl,
}
