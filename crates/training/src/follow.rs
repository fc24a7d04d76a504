//! The loop of all ranks but 0, which follow the commands of rank 0.

use std::sync::Arc;

use ddpm_data::Dataset;

use crate::batching::{Batches, Prefetch};
use crate::config::TrainConfig;
use crate::distributed::Command;
use crate::drawing::draw_share;
use crate::error::TrainError;
use crate::step::Trainer;

/// Takes the steps that rank 0 takes, until it ends. Returns the signal that stopped it, if any.
///
/// * `trainer`: of a team, on a rank other than 0.
///
/// # Errors
///
/// [`TrainError::Group`] if another rank is lost, and any error of a step.
///
/// # Panics
///
/// If the trainer belongs to no team.
pub(crate) fn follow(
    config: &TrainConfig,
    dataset: Arc<Dataset>,
    trainer: &mut Trainer,
) -> Result<Option<i32>, TrainError> {
    let batches = Batches::new(config, dataset)?.on_device(trainer.device())?;
    let batches = batches.for_team(trainer.team())?;
    // Endless, because a dry run may take more steps than the run has.
    let mut batches = Prefetch::start(batches, trainer.steps_done(), u32::MAX);
    loop {
        let team = trainer.team().expect("only a team has followers");
        match Command::receive(team)? {
            Command::Step => {
                let batch = batches.next().expect("batches do not end");
                trainer.step(&batch?)?;
            }
            Command::Draw { purpose, first, end } => {
                draw_share(config, trainer, team, purpose, first..end)?;
            }
            Command::Wait => {}
            Command::End { signal } => {
                trainer.end(signal)?;
                return Ok(signal);
            }
        }
    }
}
