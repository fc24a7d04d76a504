//! Samples drawn by all processes, each a share of the indices.

use std::ops::Range;

use super::super::{TrainConfig, TrainError, Trainer};
use super::{Order, Purpose, Team};
use crate::sample::{self, Request};

/// Draws samples of a range of indices with the averaged weights, classes in turn:
/// `[indices, …sample shape]`. A team shares the work; rank 0 calls it, and the others follow.
pub(in crate::train) fn draw(
    config: &TrainConfig,
    trainer: &Trainer,
    purpose: Purpose,
    indices: Range<usize>,
) -> Result<Vec<f32>, TrainError> {
    let Some(team) = trainer.team() else {
        return draw_range(config, trainer, purpose, indices);
    };
    Order::Draw { purpose, first: indices.start, end: indices.end }.give(team)?;
    draw_share(config, trainer, team, purpose, indices)
}

/// Draws this rank's share, after [`Order::Draw`]; rank 0 returns all samples, the others nothing.
pub(super) fn draw_share(
    config: &TrainConfig,
    trainer: &Trainer,
    team: &Team,
    purpose: Purpose,
    indices: Range<usize>,
) -> Result<Vec<f32>, TrainError> {
    // Only rank 0 has kept the averages up to date. They stay as they are while more samples follow.
    if indices.start == 0 {
        team.spread(trainer.averaged().parameters())?;
    }
    let (count, size) = (indices.len(), team.size());
    let share = share(indices, team.rank(), size);
    let len = config.model.sample_shape().iter().product::<i64>() as usize;
    let mut samples = draw_range(config, trainer, purpose, share)?;
    // What is gathered is of one length on all ranks.
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
        Purpose::Show => config.default_program()?,
        Purpose::Judge => config.judged_program()?,
    };
    let (count, seed) = (indices.end, config.seed);
    let labels = config.labels_in_turn(count);
    let labels = labels.as_deref();
    let request = Request { program: &program, seed, count, labels, initial: None };
    Ok(sample::draw_range(trainer.averaged(), trainer.device(), &request, indices)?)
}

/// The indices of a rank: as many for each, but for the last ones.
fn share(indices: Range<usize>, rank: usize, size: usize) -> Range<usize> {
    let each = indices.len().div_ceil(size);
    let nth = |rank: usize| (indices.start + rank * each).min(indices.end);
    nth(rank)..nth(rank + 1)
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
