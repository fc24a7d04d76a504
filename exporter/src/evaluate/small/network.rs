//! Four convolutions with pools between, then the mean over the picture.

use tch::nn::{self, Init};

use crate::model::{Ops, Param};

/// Channels of the four levels; the last are the features.
const WIDTHS: [i64; 4] = [16, 32, 64, 64];
/// Pools after the last level, from 4 × 4 to one number a channel.
const LAST_POOLS: usize = 2;

/// Side of the pictures that it sees.
pub(super) const SIDE: i64 = 32;
/// Features a picture.
pub(super) const DIMENSION: i64 = WIDTHS[WIDTHS.len() - 1];

/// The network up to its features.
pub(super) struct Features {
    /// Weight and bias of each level.
    levels: Vec<(Param, Param)>,
}

impl Features {
    /// Random weights, as is usual before units that are half silent.
    pub(super) fn new(path: &nn::Path<'_>) -> Self {
        let level = |level: usize| {
            let inputs = if level == 0 { 3 } else { WIDTHS[level - 1] };
            let (weight, bias) = (format!("conv{level}_weight"), format!("conv{level}_bias"));
            let init = nn::init::DEFAULT_KAIMING_NORMAL;
            let shape = [WIDTHS[level], inputs, 3, 3];
            let weight = Param { value: path.var(&weight, &shape, init), name: weight };
            let zeros = path.var(&bias, &[WIDTHS[level]], Init::Const(0.0));
            (weight, Param { value: zeros, name: bias })
        };
        Self { levels: (0..WIDTHS.len()).map(level).collect() }
    }

    /// Pictures `[B, 3, 32, 32]` in [-1, 1] to features `[B, 64, 1, 1]`.
    pub(super) fn forward<O: Ops>(&self, o: &O, pictures: &O::T) -> O::T {
        let convolved = |x: &O::T, (weight, bias): &(Param, Param)| {
            o.silu(&o.conv2d(x, weight, bias, 1, [1; 4]))
        };
        let (first, rest) = self.levels.split_first().expect("there are four levels");
        let first = convolved(pictures, first);
        let last = rest.iter().fold(first, |x, level| convolved(&o.average_pool2x2(&x), level));
        (0..LAST_POOLS).fold(last, |x, _| o.average_pool2x2(&x))
    }
}
