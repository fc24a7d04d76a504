//! The state of a run on disk. A checkpoint is written completely or not at all.

mod run_dir;
pub use run_dir::RunDir;

mod lock;
pub(crate) use lock::RunLock;

mod digests;

mod checkpoint;
pub use checkpoint::{Checkpoint, CheckpointState};

mod newest;

mod rehearsal;
pub use rehearsal::rehearse_checkpoint;
