//! Four convolutions with pooling in between, then the mean over the picture.

use ddpm_network::{Ops, Param};
use tch::nn::{self, Init};

/// Channels of the four levels; those of the last are the features.
const WIDTHS: [i64; 4] = [16, 32, 64, 64];
/// Pools after the last level, from 4 × 4 to one number per channel.
const LAST_POOLS: usize = 2;

/// Side of its input pictures.
pub(crate) const SIDE: i64 = 32;
/// Features per picture.
pub(crate) const DIMENSION: i64 = WIDTHS[WIDTHS.len() - 1];

/// The network up to its features.
pub(crate) struct Features {
    /// Weight and bias of each level.
    levels: Vec<(Param, Param)>,
}

impl Features {
    /// Draws Kaiming-normal weights, and sets biases to zero.
    pub(crate) fn new(path: &nn::Path<'_>) -> Self {
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

    /// Maps pictures `[B, 3, 32, 32]` in [-1, 1] to features `[B, 64, 1, 1]`.
    pub(crate) fn forward<O: Ops>(&self, o: &O, pictures: &O::T) -> O::T {
        let convolved = |x: &O::T, (weight, bias): &(Param, Param)| {
            o.silu(&o.conv2d(x, weight, bias, 1, [1; 4]))
        };
        let (first, rest) = self.levels.split_first().expect("there are four levels");
        let first = convolved(pictures, first);
        let last = rest.iter().fold(first, |x, level| convolved(&o.average_pool2x2(&x), level));
        (0..LAST_POOLS).fold(last, |x, _| o.average_pool2x2(&x))
    }
}
