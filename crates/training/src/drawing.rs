//! Draws samples with the averaged weights; the processes of a team share the work.

use std::ops::Range;

use ddpm_network::sample::{self, DrawRequest, labels_in_turn};

use crate::config::TrainConfig;
use crate::distributed::{Command, Purpose, Team};
use crate::error::TrainError;
use crate::step::Trainer;

/// Draws the samples with these indices, with the classes in turn: `[indices, …sample shape]`. In a
/// team rank 0 calls it, and the others follow.
pub(crate) fn draw(
    config: &TrainConfig,
    trainer: &Trainer,
    purpose: Purpose,
    indices: Range<usize>,
) -> Result<Vec<f32>, TrainError> {
    let Some(team) = trainer.team() else {
        return draw_range(config, trainer, purpose, indices);
    };
    Command::Draw { purpose, first: indices.start, end: indices.end }.send(team)?;
    draw_share(config, trainer, team, purpose, indices)
}

/// Draws this rank's share, after [`Command::Draw`]. Returns all samples on rank 0, none on the
/// others.
pub(crate) fn draw_share(
    config: &TrainConfig,
    trainer: &Trainer,
    team: &Team,
    purpose: Purpose,
    indices: Range<usize>,
) -> Result<Vec<f32>, TrainError> {
    // Only rank 0 updates the averages. They do not change between the calls for one evaluation.
    if indices.start == 0 {
        team.broadcast_tensors(trainer.averaged().parameters())?;
    }
    let (count, size) = (indices.len(), team.size());
    let share = share(indices, team.rank(), size);
    let len = config.model.sample_shape().iter().product::<i64>() as usize;
    let mut samples = draw_range(config, trainer, purpose, share)?;
    // Gathering needs the same length on all ranks.
    samples.resize(count.div_ceil(size) * len, 0.0);
    let mut all = team.gather(&samples)?;
    all.truncate(count * len);
    Ok(all)
}

fn draw_range(
    config: &TrainConfig,
    trainer: &Trainer,
    purpose: Purpose,
    indices: Range<usize>,
) -> Result<Vec<f32>, TrainError> {
    let program = match purpose {
        Purpose::Preview => config.default_program()?,
        Purpose::Judge => config.judged_program()?,
    };
    let (count, seed) = (indices.end, config.seed);
    let labels = labels_in_turn(config.classes.len(), count);
    let labels = labels.as_deref();
    let request = DrawRequest { program: &program, seed, count, labels, initial: None };
    Ok(sample::draw_range(trainer.averaged(), trainer.device(), &request, indices)?)
}

/// Returns the indices of a rank: equally many for each, except for the last ones.
fn share(indices: Range<usize>, rank: usize, size: usize) -> Range<usize> {
    let each = indices.len().div_ceil(size);
    let start = |rank: usize| (indices.start + rank * each).min(indices.end);
    start(rank)..start(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn every_index_is_drawn_once_whatever_the_number_of_ranks() {
        for (all, size) in
            [(0..64, 1), (0..64, 2), (0..64, 3), (0..5, 4), (7..9, 4), (0..0, 2), (60..100, 3)]
        {
            let indices: Vec<_> =
                (0..size).flat_map(|rank| share(all.clone(), rank, size)).collect();
            assert!(indices.into_iter().eq(all.clone()), "{all:?} on {size}");
            let most = all.len().div_ceil(size);
            assert!((0..size).all(|rank| share(all.clone(), rank, size).len() <= most));
        }
    }
}
