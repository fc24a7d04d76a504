//! Random choices in training, addressed by (seed, step, position in the batch), never streamed.

use ddpm_diffusion::Noise;
use ddpm_network::Masks;

/// The kinds of random choices: each has its own seed, derived from the run's.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Weights,
    Order,
    Timestep,
    Noise,
    Flip,
    LabelDrop,
    Dropout,
    HeldOut,
}

/// All random choices in a run.
#[derive(Debug, Clone)]
pub struct StepDraws {
    root: Noise,
    timestep: Noise,
    noise: Noise,
    flip: Noise,
    label_drop: Noise,
    dropout: Noise,
}

impl StepDraws {
    /// Makes the choices of the run with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = Noise::new(seed);
        let noise = |choice| Noise::new(seed_for(&root, choice));
        Self {
            timestep: noise(Choice::Timestep),
            noise: noise(Choice::Noise),
            flip: noise(Choice::Flip),
            label_drop: noise(Choice::LabelDrop),
            dropout: noise(Choice::Dropout),
            root,
        }
    }

    /// Returns the seed of the initial weights, for libtorch's generator.
    #[must_use]
    pub fn weights_seed(&self) -> i64 {
        seed_for(&self.root, Choice::Weights) as i64
    }

    /// Returns the seed of the [`Order`](crate::Order).
    #[must_use]
    pub fn order_seed(&self) -> u64 {
        seed_for(&self.root, Choice::Order)
    }

    /// Returns the choices for the held-out items, which are the same every time.
    #[must_use]
    pub fn held_out(&self) -> Self {
        Self::new(seed_for(&self.root, Choice::HeldOut))
    }

    /// Makes the dropout masks of some rows of a step, on the CPU.
    ///
    /// * `first`: position of the first row in the batch.
    #[must_use]
    pub fn masks(&self, step: u32, first: usize) -> Masks {
        Masks::new(self.dropout.clone(), step, first)
    }

    /// Returns the seed of the dropout of a step on a rank, for libtorch's generator on a GPU.
    #[must_use]
    pub fn dropout_seed(&self, step: u32, rank: usize) -> i64 {
        self.dropout.bits(rank as u64, step) as i64
    }

    /// Draws t, uniform over 0..`timesteps`; the bias is below `timesteps` / 2^64.
    #[must_use]
    pub fn timestep(&self, step: u32, position: usize, timesteps: usize) -> usize {
        let bits = self.timestep.bits(position as u64, step);
        ((u128::from(bits) * timesteps as u128) >> 64) as usize
    }

    /// Draws a standard normal variate, which decides the noise level in a continuous process.
    #[must_use]
    pub fn level(&self, step: u32, position: usize) -> f64 {
        let mut level = [0.0];
        self.timestep.normal(position as u64, step, &mut level);
        level[0]
    }

    /// Writes ε, standard normal variates, into `out`.
    pub fn noise(&self, step: u32, position: usize, out: &mut [f32]) {
        self.noise.normal(position as u64, step, out);
    }

    /// Decides whether a picture is mirrored, with probability 1/2.
    #[must_use]
    pub fn flips(&self, step: u32, position: usize) -> bool {
        self.flip.bits(position as u64, step) & 1 == 1
    }

    /// Decides whether a label is replaced by "none", with probability `rate`.
    #[must_use]
    pub fn drops_label(&self, step: u32, position: usize, rate: f64) -> bool {
        // The upper 53 bits: a multiple of 2^-53 in [0, 1), exact in f64.
        let unit =
            (self.label_drop.bits(position as u64, step) >> 11) as f64 / (1_u64 << 53) as f64;
        unit < rate
    }
}

fn seed_for(root: &Noise, choice: Choice) -> u64 {
    root.bits(choice as u64, u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_dropped_at_the_requested_rate() {
        let draws = StepDraws::new(3);
        let count =
            (0..100).map(|step| (0..100).filter(|&i| draws.drops_label(step, i, 0.1)).count());
        // Binomial with n = 10,000 and p = 0.1: mean 1000, standard deviation 30; five of those.
        assert!(count.sum::<usize>().abs_diff(1000) < 150);
        assert!(!(0..1000).any(|i| draws.drops_label(0, i, 0.0)));
    }

    #[test]
    fn timesteps_are_uniform() {
        let draws = StepDraws::new(4);
        let mut counts = [0_usize; 10];
        for step in 0..100 {
            (0..100).for_each(|position| counts[draws.timestep(step, position, 10)] += 1);
        }
        // As above: each count has mean 1000 and standard deviation 30.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
    }

    #[test]
    fn kinds_of_choices_do_not_share_their_bits() {
        let draws = StepDraws::new(5);
        assert_ne!(draws.timestep.bits(1, 2), draws.flip.bits(1, 2));
        assert_ne!(draws.weights_seed() as u64, draws.order_seed());
    }
}
