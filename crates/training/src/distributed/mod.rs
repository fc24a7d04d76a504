//! One run on several processes: each takes its share of every batch, and all take the same steps.
//!
//! Rank 0 leads. It runs the loop of [`run`](crate::run()) as if it were alone and tells the other
//! ranks, which follow, what comes next: a step, a share of samples to draw, the end. Everything
//! else that the loop does (checkpoints, logs, pictures) happens on rank 0 alone, while the others
//! wait.
//!
//! * [`Team`]: the connected processes, and their collective operations;
//! * `Command`: the commands of rank 0 to the others;
//! * `Replica`: what a [`Trainer`](crate::Trainer) needs in addition when it is part of a team.
//!
//! Random choices are addressed by the position in the whole batch, so the number of processes
//! affects only the rounding of sums and, on GPUs, the masks of dropout.

mod team;
pub use team::Team;

mod command;
pub(crate) use command::{Command, Purpose};

mod replica;
pub(crate) use replica::Replica;
