//! Noise that is addressed, never streamed: (seed, sample index, draw) → N(0, 1).
//!
//! A sample's noise does not depend on the rest of its batch, on earlier draws, or
//! on the machine. The layout is documented for other languages in
//! `proto/ddpm/v1/sampling.proto`; the tests hold known answers.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::Real;
use crate::normal::{PAIRS, box_muller, box_muller_pair};

/// Id of the layout, as in receipts. It changes with any bit of the noise.
pub const LAYOUT: &str = "chacha8-boxmuller-2";

/// What follows the 8 bytes of the seed in the 32-byte key.
const KEY_TAIL: &[u8; 24] = b"ddpm.v1/noise/chacha8-bm";

/// Blocks of 16 words between one draw and the next.
const BLOCKS_A_DRAW: u64 = 1 << 32;

/// A source of standard normal variates for the kernel.
///
/// Samplers run with [`Noise`]; recorded numbers replace it to replay a run of
/// another program.
pub trait NoiseSource {
    /// Fills `out` with the first variates of (`index`, `draw`).
    fn normal<F: Real>(&self, index: u64, draw: u32, out: &mut [F]);
}

impl NoiseSource for Noise {
    fn normal<F: Real>(&self, index: u64, draw: u32, out: &mut [F]) {
        self.normal(index, draw, out);
    }
}

/// The noise of one seed.
#[derive(Debug, Clone)]
pub struct Noise {
    key: [u8; 32],
}

impl Noise {
    /// Creates the noise of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(KEY_TAIL);
        Self { key }
    }

    /// Fills `out` with the first standard normal variates of (`index`, `draw`).
    pub fn normal<F: Real>(&self, index: u64, draw: u32, out: &mut [F]) {
        let mut generator = self.at(index, draw);
        let (chunks, rest) = out.as_chunks_mut::<{ 2 * PAIRS }>();
        let mut variates = [0.0; 2 * PAIRS];
        for chunk in chunks {
            let mut words = [0; 2 * PAIRS];
            next_words(&mut generator, &mut words);
            box_muller(&words, &mut variates);
            *chunk = variates.map(F::from_f64);
        }
        for pair in rest.chunks_mut(2) {
            let variates = box_muller_pair([generator.next_u32(), generator.next_u32()]);
            pair.iter_mut().zip(variates).for_each(|(out, z)| *out = F::from_f64(z));
        }
    }

    /// Returns the first 64 random bits of (`index`, `draw`), for choices other than
    /// noise: a timestep, a flip.
    #[must_use]
    pub fn bits(&self, index: u64, draw: u32) -> u64 {
        self.at(index, draw).next_u64()
    }

    /// Fills `out` with the first random words of (`index`, `draw`), for choices by the
    /// thousand, such as dropout. The first two are [`bits`](Self::bits), the lower half
    /// first.
    pub fn words(&self, index: u64, draw: u32, out: &mut [u32]) {
        next_words(&mut self.at(index, draw), out);
    }

    fn at(&self, index: u64, draw: u32) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::from_seed(self.key);
        generator.set_stream(index);
        generator.set_block_pos(u64::from(draw) * BLOCKS_A_DRAW);
        generator
    }
}

/// Fills `out` with the next words of a generator.
fn next_words(generator: &mut ChaCha8Rng, out: &mut [u32]) {
    let mut bytes = [0; 8 * PAIRS];
    for words in out.chunks_mut(2 * PAIRS) {
        let bytes = &mut bytes[..4 * words.len()];
        generator.fill_bytes(bytes);
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(seed: u64, index: u64, draw: u32, count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        Noise::new(seed).normal(index, draw, &mut out);
        out
    }

    #[test]
    fn a_longer_sample_begins_like_a_shorter_one() {
        let longest = normal(1, 2, 3, 200);
        for count in 0..200 {
            assert_eq!(longest[..count], normal(1, 2, 3, count));
        }
    }

    #[test]
    fn each_part_of_the_address_matters() {
        let base = normal(1, 2, 3, 8);
        for other in [normal(0, 2, 3, 8), normal(1, 3, 3, 8), normal(1, 2, 4, 8)] {
            assert!(base.iter().zip(&other).all(|(a, b)| a != b));
        }
    }

    #[test]
    fn words_begin_with_the_bits_however_many_there_are() {
        let noise = Noise::new(1);
        let words = |count: usize| {
            let mut out = vec![0; count];
            noise.words(2, 3, &mut out);
            out
        };
        let longest = words(200);
        assert_eq!(u64::from(longest[1]) << 32 | u64::from(longest[0]), noise.bits(2, 3));
        for count in 0..200 {
            assert_eq!(longest[..count], words(count));
        }
    }

    #[test]
    fn variates_are_standard_normal() {
        let z: Vec<f32> = (0..64).flat_map(|index| normal(7, index, 0, 4096)).collect();
        let count = z.len() as f64;
        let moment = |power: i32| z.iter().map(|z| f64::from(*z).powi(power)).sum::<f64>() / count;
        // Six standard errors of each moment over 262,144 variates.
        let bound = |variance: f64| 6.0 * (variance / count).sqrt();
        assert!(moment(1).abs() < bound(1.0));
        assert!((moment(2) - 1.0).abs() < bound(2.0));
        assert!(moment(3).abs() < bound(15.0));
        assert!((moment(4) - 3.0).abs() < bound(96.0));
    }
}
