//! Samples drawn by all processes, each a share of the indices.

use std::ops::Range;

use super::super::{TrainConfig, TrainError, Trainer};
use super::{Order, Team};
use crate::sample::{self, Request};

/// Draws samples 0..count with the averaged weights and the default sampler, classes in turn:
/// `[count, …sample shape]`. A team shares the work; rank 0 calls it, and the others follow.
pub(in crate::train) fn draw(
    config: &TrainConfig,
    trainer: &Trainer,
    count: usize,
    seed: u64,
) -> Result<Vec<f32>, TrainError> {
    let Some(team) = trainer.team() else {
        return draw_range(config, trainer, 0..count, count, seed);
    };
    Order::Draw { count, seed }.give(team)?;
    draw_share(config, trainer, team, count, seed)
}

/// Draws this rank's share, after [`Order::Draw`]; rank 0 returns all samples, the others nothing.
pub(super) fn draw_share(
    config: &TrainConfig,
    trainer: &Trainer,
    team: &Team,
    count: usize,
    seed: u64,
) -> Result<Vec<f32>, TrainError> {
    // Only rank 0 has kept the averages up to date.
    team.spread(trainer.averaged().parameters())?;
    let share = share(count, team.rank(), team.size());
    let len = config.model.sample_shape().iter().product::<i64>() as usize;
    let mut samples = draw_range(config, trainer, share, count, seed)?;
    // What is gathered is of one length on all ranks.
    samples.resize(count.div_ceil(team.size()) * len, 0.0);
    let mut all = team.gather(&samples)?;
    all.truncate(count * len);
    Ok(all)
}

fn draw_range(
    config: &TrainConfig,
    trainer: &Trainer,
    indices: Range<usize>,
    count: usize,
    seed: u64,
) -> Result<Vec<f32>, TrainError> {
    let (program, labels) = (config.default_program()?, config.labels_in_turn(count));
    let labels = labels.as_deref();
    let request = Request { program: &program, seed, count, labels, initial: None };
    Ok(sample::draw_range(trainer.averaged(), trainer.device(), &request, indices)?)
}

/// The indices of a rank: as many for each, but for the last ones.
fn share(count: usize, rank: usize, size: usize) -> Range<usize> {
    let each = count.div_ceil(size);
    (rank * each).min(count)..((rank + 1) * each).min(count)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn every_index_is_drawn_once_whatever_the_number_of_ranks() {
        for (count, size) in [(64, 1), (64, 2), (64, 3), (5, 4), (2, 4), (0, 2)] {
            let indices: Vec<_> = (0..size).flat_map(|rank| share(count, rank, size)).collect();
            assert!(indices.into_iter().eq(0..count), "{count} on {size}");
            assert!((0..size).all(|rank| share(count, rank, size).len() <= count.div_ceil(size)));
        }
    }
}
