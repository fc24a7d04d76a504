//! Addressed dropout masks: the mask of a sample depends on the seed, the step, its position in the
//! batch and the place in the network, never on the rows computed beside it.

use std::cell::Cell;

use ddpm_diffusion::Noise;
use tch::Tensor;

/// The masks of some rows of a batch, for one pass through a network.
#[derive(Debug)]
pub struct Masks {
    noise: Noise,
    step: u32,
    /// Position of the first row in the whole batch.
    first: usize,
    /// Masks returned so far: one per place in the network.
    count: Cell<u32>,
}

impl Masks {
    /// Makes the masks of one pass.
    ///
    /// * `noise`: used for dropout alone.
    /// * `first`: position of the first row in the batch of that step.
    #[must_use]
    pub fn new(noise: Noise, step: u32, first: usize) -> Self {
        Self { noise, step, first, count: Cell::new(0) }
    }

    /// Returns the mask for the next place in the network: 0 with probability `rate`, else
    /// 1 / (1 − rate), which keeps the mean (inverted dropout; Srivastava et al. 2014, section 10).
    ///
    /// * `size`: `[rows, …]`, also of the mask, which is f32 on the CPU.
    /// * `rate`: in [0, 1).
    pub fn next(&self, size: &[i64], rate: f64) -> Tensor {
        let place = u64::from(self.count.replace(self.count.get() + 1));
        let (rows, len) = (size[0] as usize, size[1..].iter().product::<i64>() as usize);
        // Rounding the rate to a multiple of 2⁻³² makes no difference in practice.
        let (least, kept) = ((rate * 2_f64.powi(32)) as u32, (1.0 / (1.0 - rate)) as f32);
        let mut words = vec![0; len];
        let mut mask = Vec::with_capacity(rows * len);
        for position in (self.first as u64..).take(rows) {
            self.noise.words(place << 32 | position, self.step, &mut words);
            mask.extend(words.iter().map(|&word| if word < least { 0.0 } else { kept }));
        }
        Tensor::from_slice(&mask).view(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(first: usize, size: &[i64], rate: f64) -> Vec<f32> {
        let mask = Masks::new(Noise::new(1), 2, first).next(size, rate);
        assert_eq!(mask.size(), size);
        Vec::try_from(mask.flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_row_has_the_same_mask_in_any_company() {
        let together = mask(3, &[4, 2, 5], 0.5);
        assert_eq!(together[10..30], mask(4, &[2, 2, 5], 0.5));
        assert_ne!(together[..10], together[10..20]);
    }

    #[test]
    fn places_of_the_network_have_masks_of_their_own() {
        let masks = Masks::new(Noise::new(1), 2, 0);
        assert_ne!(masks.next(&[1, 100], 0.5), masks.next(&[1, 100], 0.5));
    }

    #[test]
    fn masks_drop_at_the_rate_and_keep_the_mean() {
        let values = mask(0, &[10, 1000], 0.25);
        let dropped = values.iter().filter(|&&value| value == 0.0).count();
        // Binomial: mean 2500, standard deviation 43; five of them.
        assert!(dropped.abs_diff(2500) < 215, "{dropped}");
        assert!(values.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
    }
}
