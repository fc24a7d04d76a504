//! Training: from a data set to a network, with loss, optimiser, EMA and checkpoints.
//!
//! [`run()`] is the loop. A step is a pure function of the state before it and of its number: its
//! items, timesteps, noise, flips, dropped labels and, on the CPU, its dropout masks are addressed
//! by (seed, step, position in the batch). So neither making batches ahead nor restarting changes
//! anything: on one CPU with the same number of threads, a resumed run gives the same bits as an
//! uninterrupted one.
//!
//! Each module uses only those above it:
//!
//! * [`TrainError`]: why training does not start, or stops; [`Signals`]: requests to stop, or to
//!   save;
//! * `config`: [`TrainConfig`] with [`DiffusionConfig`]: the settings of a run, part of every
//!   checkpoint; their defaults for a data set, and their checks;
//! * [`distributed`]: the same run on several processes;
//! * `batching`: [`Order`], [`StepDraws`], [`Batches`], [`Prefetch`]: the batch of every step;
//! * `step`: a batch through the network and back; [`Optimizer`], [`Ema`], and [`Trainer`], the
//!   state of a run with one step of it;
//! * `store`: [`RunDir`], [`Checkpoint`]: the state on disk;
//! * `drawing`: samples drawn by all processes;
//! * `judging`: [`Judge`], the interface to whatever judges samples during training;
//! * `monitor`: what a run shows: rates, losses, logs, pictures;
//! * [`run()`]: the loop; `follow`: that of the other processes;
//! * [`Session`]: a run from its start, or from where it is resumed, to its end.

mod error;
pub use error::{CheckpointError, TrainError};

mod signals;
pub use signals::Signals;

mod config;
pub use config::{
    DataConfig, DataOn, DiffusionConfig, EdmConfig, EvalConfig, ExportConfig, Intervals, Loss,
    OptimizerConfig, Precision, ProcessKind, TrainConfig, WatchConfig,
};

pub mod distributed;

mod batching;
pub use batching::{Batch, Batches, Order, Prefetch, Rows, StepDraws, Variational};

mod step;
pub use step::{Ema, Optimizer, StepReport, Trainer};

mod store;
pub use store::{Checkpoint, CheckpointState, RunDir, rehearse_checkpoint};

mod drawing;

mod judging;
pub use judging::{Judge, JudgeError, Score};

mod monitor;

mod run;
pub use run::{Outcome, run};

mod follow;

mod session;
pub use session::{DataRules, FolderRules, Session, follow_leader, load_data};
