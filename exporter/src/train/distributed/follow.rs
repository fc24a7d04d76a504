//! What ranks other than 0 do: what they are told.

use std::sync::Arc;

use super::super::{Batches, Prefetch, TrainConfig, TrainError, Trainer};
use super::Order;
use super::drawing::draw_share;
use crate::data::Dataset;

/// Takes the steps that rank 0 takes, until it ends; returns the signal it was stopped by, if any.
///
/// * `trainer`: of a [`Team`](super::Team), whose rank is not 0.
///
/// # Errors
///
/// [`TrainError::Group`] if rank 0 or another rank is lost, and whatever a step can meet.
///
/// # Panics
///
/// If the trainer is of no team.
pub fn follow(
    config: &TrainConfig,
    dataset: Arc<Dataset>,
    trainer: &mut Trainer,
) -> Result<Option<i32>, TrainError> {
    let batches = Batches::new(config, dataset)?.on(trainer.device())?.share_of(trainer)?;
    // A dry run takes more steps than a short run has.
    let mut batches = Prefetch::start(batches, trainer.steps_done(), u32::MAX);
    loop {
        let team = trainer.team().expect("only a team has followers");
        match Order::take(team)? {
            Order::Step => {
                let batch = batches.next().expect("batches do not end");
                trainer.step(&batch?)?;
            }
            Order::Draw { purpose, first, end } => {
                draw_share(config, trainer, team, purpose, first..end)?;
            }
            Order::Wait => {}
            Order::End { signal } => {
                trainer.end(signal)?;
                return Ok(signal);
            }
        }
    }
}
