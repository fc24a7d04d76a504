//! Data → a trained network: loss, optimiser, EMA and checkpoints in one readable loop.
//!
//! [`run()`] is the loop. A step is a pure function of the state before it and of its number: which
//! items it sees, its timesteps, noise, flips and dropped labels are addressed by (seed, step,
//! position in the batch), and dropout is reseeded. So threads and restarts change nothing, and a
//! resumed run gives, on one CPU, the same bits as one that was never interrupted.
//!
//! * [`TrainConfig`]: what a run is; part of every checkpoint.
//! * `draws`, [`Order`], [`Batches`]: what a step sees.
//! * [`Trainer`]: the state and one step of it, with [`Optimizer`] and [`Ema`].
//! * [`RunDir`], [`Checkpoint`]: the state on disk, whole or not at all.
//! * [`Judge`]: says on the way how good samples are.
//! * [`distributed`]: the same run on several processes.

mod error;
pub use error::TrainError;

mod config;
pub use config::{DataConfig, Intervals, OptimizerConfig, Precision, TrainConfig, WatchConfig};

mod diffusion;
pub use diffusion::{DiffusionConfig, EdmConfig, Loss, ProcessKind};

mod validate;

mod same;

mod defaults;

mod draws;
pub use draws::Draws;

mod order;
pub use order::Order;

mod loss;
pub use loss::{Term, Variational};
pub(crate) use loss::{discretised_nll, gaussian_kl, gaussian_nll};

mod held_out;

mod batch;
pub use batch::{Batch, Batches};

mod parts;

mod prefetch;
pub use prefetch::Prefetch;

mod optimizer;
pub use optimizer::Optimizer;

mod ema;
pub use ema::Ema;

mod pass;

mod workers;

mod trainer;
pub use trainer::{StepReport, Trainer};

mod tensors;
pub(crate) use tensors::serialize_with;

mod run_dir;
pub use run_dir::RunDir;

mod checkpoint;
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointState};

mod proof;
pub use proof::prove_checkpoint;

mod meter;
pub use meter::{Meter, Reading};

mod progress;
pub use progress::Progress;

mod events;

mod metrics;

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
