//! Seeded draws: rows of subsets, and directions of projections.

use ddpm_diffusion::Noise;

/// Purpose of draws. Each has its own key, so that the projections of seed 0 differ from the
/// initial noise of the samples of seed 0.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Rows of the first set for subset i.
    FirstSubset = 1,
    /// Rows of the second set for subset i.
    SecondSubset = 2,
    /// Direction i of a sliced distance.
    Direction = 3,
    /// Rows of resample i.
    Resample = 4,
}

/// Draws of one seed for one purpose, addressed by index: [`Noise`] under another key.
#[derive(Debug)]
pub(crate) struct SubsetDraws(Noise);

impl SubsetDraws {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self(Noise::new(Noise::new(seed).bits(u64::MAX, purpose as u32)))
    }

    /// Draws `size` different numbers below `count`, each subset with the same probability: the
    /// first part of a Fisher–Yates shuffle.
    pub(crate) fn subset(&self, index: usize, count: usize, size: usize) -> Vec<usize> {
        let mut deck: Vec<usize> = (0..count).collect();
        for draw in 0..size {
            let bits = u128::from(self.0.bits(index as u64, draw as u32));
            let left = (count - draw) as u128;
            // The high half of the product: below `left`, uniform to 2⁻⁴⁰ for 2²⁴ rows.
            deck.swap(draw, draw + ((bits * left) >> 64) as usize);
        }
        deck.truncate(size);
        deck
    }

    /// Draws `count` numbers below `count`, each independent of the others.
    pub(crate) fn resample(&self, index: usize, count: usize) -> impl Iterator<Item = usize> {
        (0..count).map(move |draw| {
            let bits = u128::from(self.0.bits(index as u64, draw as u32));
            ((bits * count as u128) >> 64) as usize
        })
    }

    /// Draws a direction, uniform on the unit sphere in `dim` dimensions.
    pub(crate) fn direction(&self, index: usize, dim: usize) -> Vec<f64> {
        let mut direction = vec![0.0; dim];
        self.0.normal(index as u64, 0, &mut direction);
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|x| *x /= norm);
        direction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_repeats_no_row_and_all_rows_are_equally_likely() {
        let draws = SubsetDraws::new(5, Purpose::FirstSubset);
        let mut hits = [0u32; 10];
        for index in 0..4000 {
            let subset = draws.subset(index, 10, 4);
            assert!(subset.iter().all(|&row| subset.iter().filter(|&&r| r == row).count() == 1));
            subset.iter().for_each(|&row| hits[row] += 1);
        }
        // 1600 expected each, standard deviation 31.
        assert!(hits.iter().all(|&h| h.abs_diff(1600) < 200), "{hits:?}");
    }

    #[test]
    fn purposes_and_seeds_give_different_draws() {
        let subset = |seed, purpose| SubsetDraws::new(seed, purpose).subset(0, 1000, 8);
        assert_ne!(subset(0, Purpose::FirstSubset), subset(0, Purpose::SecondSubset));
        assert_ne!(subset(0, Purpose::FirstSubset), subset(1, Purpose::FirstSubset));
        assert_eq!(subset(0, Purpose::FirstSubset), subset(0, Purpose::FirstSubset));
    }

    #[test]
    fn directions_have_length_1_and_no_preference() {
        let draws = SubsetDraws::new(1, Purpose::Direction);
        let mut mean = [0.0; 3];
        for index in 0..4000 {
            let direction = draws.direction(index, 3);
            assert!((direction.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
            mean.iter_mut().zip(&direction).for_each(|(m, x)| *m += x / 4000.0);
        }
        // Each coordinate has variance 1/3: six standard errors.
        assert!(mean.iter().all(|m| m.abs() < 6.0 / (3.0 * 4000.0_f64).sqrt()), "{mean:?}");
    }
}
