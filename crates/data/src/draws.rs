//! Random draws addressed by item: item i does not depend on items 0..i.
//!
//! SplitMix64, started at a hash of (seed, split, index).

use std::f64::consts::TAU;

use crate::Split;
use crate::splitmix::{GOLDEN, mix};

/// The draws of one item.
pub(crate) struct ItemDraws {
    state: u64,
}

impl ItemDraws {
    /// Starts the draws of item `index` of one split.
    pub(crate) fn new(seed: u64, split: Split, index: usize) -> Self {
        let stream = match split {
            Split::Train => 1,
            Split::Test => 2,
            Split::Valid => 3,
            // Never drawn: procedural sets have no such split, and loading refuses it.
            Split::All => 4,
        };
        let key = mix(mix(seed.wrapping_add(GOLDEN)) ^ stream);
        Self { state: mix(key.wrapping_add((index as u64).wrapping_mul(GOLDEN))) }
    }

    /// Draws uniformly from [lo, hi).
    pub(crate) fn uniform(&mut self, lo: f64, hi: f64) -> f64 {
        // The upper 53 bits: every value is a multiple of 2^-53 and exact in f64.
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        lo + (hi - lo) * unit
    }

    /// Draws uniformly from 0..n; the bias is below n / 2^64.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Draws two independent values from N(0, stdev²), by Box–Muller.
    pub(crate) fn normal_pair(&mut self, stdev: f64) -> [f64; 2] {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = stdev * (-2.0 * (1.0 - self.uniform(0.0, 1.0)).ln()).sqrt();
        let (sin, cos) = self.uniform(0.0, TAU).sin_cos();
        [radius * cos, radius * sin]
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // Published known answers for seed 1234567.
        let mut draws = ItemDraws { state: 1_234_567 };
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
        assert_eq!(draws.next(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn the_address_decides_the_draws() {
        let first = |seed, split, index| ItemDraws::new(seed, split, index).next();
        assert_eq!(first(3, Split::Train, 5), first(3, Split::Train, 5));
        assert_ne!(first(3, Split::Train, 5), first(3, Split::Train, 6));
        assert_ne!(first(3, Split::Train, 5), first(4, Split::Train, 5));
        assert_ne!(first(3, Split::Train, 5), first(3, Split::Test, 5));
    }

    #[test]
    fn normal_draws_have_the_moments_of_a_gaussian() {
        let n = 50_000;
        let draws: Vec<f64> = (0..n)
            .flat_map(|i| ItemDraws::new(0, Split::Train, i).normal_pair(3.0))
            .map(|z| z / 3.0)
            .collect();
        let moment = |k| draws.iter().map(|z| z.powi(k)).sum::<f64>() / draws.len() as f64;
        // Four standard errors of a mean of 100,000 values: Var z = 1, Var z² = 2, Var z⁴ = 96.
        assert!(moment(1).abs() < 4.0 * (1.0_f64 / 1e5).sqrt());
        assert!((moment(2) - 1.0).abs() < 4.0 * (2.0_f64 / 1e5).sqrt());
        assert!((moment(4) - 3.0).abs() < 4.0 * (96.0_f64 / 1e5).sqrt());
    }

    #[test]
    fn below_is_uniform() {
        let mut counts = [0_usize; 16];
        (0..16_000).for_each(|i| counts[ItemDraws::new(9, Split::Train, i).below(16)] += 1);
        // A bin is binomial with mean 1000 and standard deviation 30.6; chance never exceeds five
        // of these.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 153), "{counts:?}");
    }
}
