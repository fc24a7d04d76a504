//! What requests ask for: shapes drawn by weight.

use std::time::Duration;

use fastrand::Rng;

use crate::load::arrivals::poisson;

/// What a request asks for, as far as its cost goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Name of the model.
    pub model: String,
    /// How many samples.
    pub samples: u32,
    /// Steps of each.
    pub steps: u32,
    /// Whether guidance doubles the evals of a step.
    pub guided: bool,
}

impl Shape {
    /// Asks for unguided glyphs.
    #[must_use]
    pub fn glyphs(samples: u32, steps: u32) -> Self {
        Self { model: "glyphs".to_owned(), samples, steps, guided: false }
    }

    /// Returns the network evaluations that the request costs.
    #[must_use]
    pub fn evals(&self) -> u64 {
        u64::from(self.samples) * u64::from(self.steps) * if self.guided { 2 } else { 1 }
    }
}

/// How the client takes what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Reads everything at once.
    Eager,
    /// Pauses after every event.
    Slow(Duration),
    /// Leaves this long after it has sent its request.
    Leaves(Duration),
}

/// A request that will be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// When, from the start of the run.
    pub at: Duration,
    /// What it asks for.
    pub shape: Shape,
    /// How it reads.
    pub reader: Reader,
    /// Key of its noise.
    pub seed: u64,
    /// What `grpc-timeout` says; `None`: no such header.
    pub deadline: Option<Duration>,
}

/// A distribution over requests.
#[derive(Debug, Clone)]
pub struct Mix {
    /// Name of the model.
    pub model: String,
    /// Steps and their weights; at least one.
    pub steps: Vec<(u32, f64)>,
    /// Samples and their weights; at least one.
    pub samples: Vec<(u32, f64)>,
    /// Share of requests with guidance, in [0, 1].
    pub guided: f64,
    /// Share of requests whose client leaves while they run, in [0, 1].
    pub leaving: f64,
    /// Share of requests whose client reads slowly, in [0, 1].
    pub slow: f64,
}

/// A client that leaves does so within this time.
const LEAVES_WITHIN: f64 = 2.0;

/// What a slow client pauses after each event.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

impl Mix {
    /// Returns the mix of a service with few large and many small requests.
    #[must_use]
    pub fn serving() -> Self {
        Self {
            model: "glyphs".to_owned(),
            steps: vec![(10, 0.60), (50, 0.30), (250, 0.08), (1000, 0.02)],
            samples: vec![(1, 0.50), (4, 0.30), (16, 0.15), (64, 0.05)],
            guided: 0.2,
            leaving: 0.1,
            slow: 0.1,
        }
    }

    /// Returns requests that all have one shape, read at once.
    #[must_use]
    pub fn only(samples: u32, steps: u32) -> Self {
        let (steps, samples) = (vec![(steps, 1.0)], vec![(samples, 1.0)]);
        Self { steps, samples, guided: 0.0, leaving: 0.0, slow: 0.0, ..Self::serving() }
    }

    /// Returns the mean evals of a request.
    #[must_use]
    pub fn mean_evals(&self) -> f64 {
        mean(&self.steps) * mean(&self.samples) * (1.0 + self.guided)
    }

    /// Draws the requests of a run.
    ///
    /// * `rate`: requests a second.
    /// * `length`: no request is sent at or after it.
    #[must_use]
    pub fn plan(&self, rate: f64, length: Duration, seed: u64) -> Vec<Planned> {
        let mut random = Rng::with_seed(seed ^ 0x6d69_7865_7300_0001);
        let moments = poisson(rate, length, seed);
        moments.into_iter().map(|at| self.draw(at, &mut random)).collect()
    }

    fn draw(&self, at: Duration, random: &mut Rng) -> Planned {
        let shape = Shape {
            model: self.model.clone(),
            steps: pick(&self.steps, random.f64()),
            samples: pick(&self.samples, random.f64()),
            guided: random.f64() < self.guided,
        };
        let (behaviour, leaves) = (random.f64(), random.f64());
        let reader = if behaviour < self.leaving {
            Reader::Leaves(Duration::from_secs_f64(leaves * LEAVES_WITHIN))
        } else if behaviour < self.leaving + self.slow {
            Reader::Slow(SLOW_PAUSE)
        } else {
            Reader::Eager
        };
        Planned { at, shape, reader, seed: random.u64(..), deadline: None }
    }
}

fn mean(weighted: &[(u32, f64)]) -> f64 {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    weighted.iter().map(|(value, weight)| f64::from(*value) * weight).sum::<f64>() / total
}

/// Returns the value at the quantile `u` in [0, 1) of a distribution.
fn pick(weighted: &[(u32, f64)], u: f64) -> u32 {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut left = u * total;
    for (value, weight) in weighted {
        left -= weight;
        if left < 0.0 {
            return *value;
        }
    }
    // Rounding: u was just below 1.
    weighted.last().map_or(1, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_cost_of_the_serving_mix_is_that_of_its_table() {
        // (6 + 15 + 20 + 20) steps, (0.5 + 1.2 + 2.4 + 3.2) samples, 1.2 evals a step.
        assert!((Mix::serving().mean_evals() - 61.0 * 7.3 * 1.2).abs() < 1e-9);
    }

    #[test]
    fn shapes_are_drawn_by_their_weights() {
        let plan = Mix::serving().plan(100.0, Duration::from_secs(200), 3);
        let share = |held: &dyn Fn(&Planned) -> bool| {
            plan.iter().filter(|planned| held(planned)).count() as f64 / plan.len() as f64
        };
        // 20,000 requests: a standard error of at most 0.0035.
        for (measured, weight) in [
            (share(&|planned| planned.shape.steps == 10), 0.60),
            (share(&|planned| planned.shape.steps == 1000), 0.02),
            (share(&|planned| planned.shape.samples == 16), 0.15),
            (share(&|planned| planned.shape.guided), 0.2),
            (share(&|planned| matches!(planned.reader, Reader::Leaves(_))), 0.1),
            (share(&|planned| matches!(planned.reader, Reader::Slow(_))), 0.1),
        ] {
            assert!((measured - weight).abs() < 0.015, "{measured} instead of {weight}");
        }
    }

    #[test]
    fn a_plan_of_a_seed_is_always_the_same() {
        let plan = |seed| Mix::serving().plan(10.0, Duration::from_secs(20), seed);
        assert_eq!(plan(5), plan(5));
        assert_ne!(plan(5), plan(6));
    }
}
