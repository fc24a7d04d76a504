//! The order in which a run sees its items: a new permutation every epoch, with random access.
//!
//! Nothing is stored and nothing is shuffled: item i of an epoch is the image of i under a small
//! Feistel network, which is a bijection for any round function. Its domain is a power of
//! four; images outside the data set are mapped again until they fall inside ("cycle walking",
//! Black & Rogaway 2002, <https://doi.org/10.1007/3-540-45760-7_9>).

use ddpm_data::splitmix::mix;
use ddpm_diffusion::Noise;

/// Enough to make orders look random; this is not a cipher.
const ROUNDS: usize = 6;

/// The item at every (step, position).
#[derive(Debug, Clone)]
pub struct Order {
    keys: Noise,
    len: u64,
    batch_size: u64,
}

impl Order {
    /// Makes the order of a run over `len` items, `batch_size` per step; both at least 1.
    #[must_use]
    pub fn new(seed: u64, len: usize, batch_size: usize) -> Self {
        Self { keys: Noise::new(seed), len: len as u64, batch_size: batch_size as u64 }
    }

    /// Returns the items of a step, in the order of their positions. A batch may end one epoch and
    /// begin the next.
    #[must_use]
    pub fn batch(&self, step: u32) -> Vec<usize> {
        let first = u64::from(step) * self.batch_size;
        let mut epoch = Permutation::new(&self.keys, first / self.len, self.len);
        (first..first + self.batch_size)
            .map(|place| {
                if place / self.len != epoch.number {
                    epoch = Permutation::new(&self.keys, place / self.len, self.len);
                }
                epoch.image(place % self.len) as usize
            })
            .collect()
    }
}

/// A permutation of 0..len.
#[derive(Debug)]
struct Permutation {
    number: u64,
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    fn new(keys: &Noise, number: u64, len: u64) -> Self {
        let bits = u64::BITS - (len - 1).leading_zeros();
        let keys = std::array::from_fn(|round| keys.bits(number, round as u32));
        Self { number, len, half_bits: bits.div_ceil(2), keys }
    }

    fn image(&self, i: u64) -> u64 {
        let mut image = self.feistel(i);
        while image >= self.len {
            image = self.feistel(image);
        }
        image
    }

    fn feistel(&self, i: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (i >> self.half_bits, i & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_is_a_permutation() {
        for len in [1, 2, 3, 5, 16, 17, 100, 1500] {
            let order = Order::new(7, len, len);
            for epoch in 0..3 {
                let mut items = order.batch(epoch);
                items.sort_unstable();
                assert!(items.into_iter().eq(0..len), "{len} items, epoch {epoch}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let items = |seed, epoch| Order::new(seed, 100, 100).batch(epoch);
        assert_ne!(items(1, 0), items(1, 1));
        assert_ne!(items(1, 0), items(2, 0));
    }

    #[test]
    fn the_batch_size_does_not_change_the_order() {
        let whole: Vec<_> = (0..2).flat_map(|epoch| Order::new(9, 21, 21).batch(epoch)).collect();
        let parts: Vec<_> = (0..14).flat_map(|step| Order::new(9, 21, 3).batch(step)).collect();
        let uneven: Vec<_> = (0..5).flat_map(|step| Order::new(9, 21, 8).batch(step)).collect();
        assert_eq!(whole, parts);
        assert_eq!(whole[..40], uneven[..40]);
    }

    #[test]
    fn the_place_of_an_item_is_uniform() {
        // How often item 3 of 10 stands at each place over 10,000 epochs.
        let mut places = [0_usize; 10];
        for epoch in 0..10_000 {
            let items = Order::new(11, 10, 10).batch(epoch);
            places[items.iter().position(|&item| item == 3).unwrap()] += 1;
        }
        // Binomial with mean 1000 and standard deviation 30; five of those.
        assert!(places.iter().all(|count| count.abs_diff(1000) < 150), "{places:?}");
    }
}
