//! Data → a trained network: loss, optimiser, EMA and checkpoints in one readable loop.
//!
//! [`run()`] is the loop. A step is a pure function of the state before it and of its number: which
//! items it sees, its timesteps, noise, flips, dropped labels and, on the CPU, what dropout drops are
//! addressed by (seed, step, position in the batch). So who makes a batch ahead, and restarts, change
//! nothing: a resumed run gives, on one CPU with as many threads, the same bits as one that was never
//! interrupted.
//!
//! The modules stand in the order of the flow:
//!
//! * [`TrainConfig`] with [`DiffusionConfig`]: what a run is, part of every checkpoint; `defaults` that
//!   suit the data, `validate` and `same` say which settings make a run, and the same one;
//! * [`Order`], [`Draws`], `held_out`, [`Batches`], [`Prefetch`]: what a step sees, made ahead;
//! * `loss`, `parts`, `pass`, `workers`: a batch through the network and back, each thread with its share;
//! * [`Optimizer`], [`Ema`], [`Trainer`]: the state and one step of it;
//! * [`RunDir`], [`Checkpoint`], `tensors`, `proof`: the state on disk, whole or not at all;
//! * [`Meter`], [`Progress`], `metrics`, `events`, `preview`, `animation`, `summary`: what a run shows;
//! * [`Judge`]: says on the way how good samples are;
//! * [`distributed`]: the same run on several processes; [`Stop`]: being asked to end it;
//! * [`run()`]: the loop over all of it; [`TrainError`]: why it does not start or go on.

mod config;
pub use config::{
    DataConfig, DataOn, Intervals, OptimizerConfig, Precision, TrainConfig, WatchConfig,
};

mod diffusion;
pub use diffusion::{DiffusionConfig, EdmConfig, Loss, ProcessKind};

mod defaults;

mod validate;

mod same;

mod order;
pub use order::Order;

mod draws;
pub use draws::Draws;

mod held_out;

mod rows;
pub use rows::{Batch, Rows};

mod resident;

mod batch;
pub use batch::Batches;

mod prefetch;
pub use prefetch::Prefetch;

mod loss;
pub use loss::{Term, Variational};
pub(crate) use loss::{discretised_nll, gaussian_kl, gaussian_nll};

mod parts;

mod pass;

mod workers;

mod optimizer;
pub use optimizer::Optimizer;

mod ema;
pub use ema::Ema;

mod trainer;
pub use trainer::{StepReport, Trainer};

mod run_dir;
pub use run_dir::RunDir;

mod checkpoint;
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointState};

mod tensors;
pub(crate) use tensors::serialize_with;

mod proof;
pub use proof::prove_checkpoint;

mod meter;
pub use meter::{Meter, Reading};

mod progress;
pub use progress::Progress;

mod metrics;

mod events;

mod preview;

mod animation;

mod judging;
pub use judging::{EvalConfig, Fault, Judge, Score};

mod summary;

pub mod distributed;

mod stop;
pub use stop::Stop;

mod run;
pub use run::{Outcome, run};

mod error;
pub use error::TrainError;
