//! One step: a batch through the network and back, then the update from its gradients.

mod loss;

mod pass;

mod workers;

mod optimizer;
pub use optimizer::Optimizer;

mod ema;
pub use ema::Ema;

mod trainer;
pub use trainer::{StepReport, Trainer};
