//! One run on several processes: each takes its share of every batch, and all take the same steps.
//!
//! Rank 0 leads. It runs the loop of [`run`](super::run()) as if it were alone and tells the others,
//! who [`follow`], what comes next: a step, a share of samples to draw, the end. So whatever else the
//! loop does (checkpoints, log, pictures) happens on rank 0 alone, and the others wait for its word.
//!
//! * [`Team`]: the processes that have met, and what they tell each other;
//! * `Replica`: what a [`Trainer`](super::Trainer) of a team has beyond one that is alone;
//! * `draw`: samples, drawn by all.
//!
//! What is drawn is addressed by the position in the whole batch, so the number of processes changes
//! nothing but the rounding of sums and, on GPUs, the masks of dropout.

mod team;
pub use team::Team;

mod order;
use order::Order;
pub(super) use order::Purpose;

mod replica;
pub(super) use replica::Replica;

mod drawing;
pub(super) use drawing::draw;

mod follow;
pub use follow::follow;
