//! The batch of every step: which items, at which noise level, with which noise; made ahead of
//! time.

mod order;
pub use order::Order;

mod draws;
pub use draws::StepDraws;

mod held_out;

mod points;

mod rows;
pub use rows::{Batch, Rows, Variational};

mod parts;

mod resident;

mod batches;
pub use batches::Batches;

mod prefetch;
pub use prefetch::Prefetch;
