//! When requests come.

use std::time::Duration;

/// Draws the moments, from the start, at which requests of a Poisson process arrive.
///
/// * `rate`: requests a second; above 0.
/// * `length`: moments at or after it are not drawn.
/// * `seed`: the same one gives the same moments.
///
/// Gaps are exponential: -ln(1 - u) / `rate` for u uniform in [0, 1).
#[must_use]
pub fn poisson(rate: f64, length: Duration, seed: u64) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let gaps = std::iter::repeat_with(|| -(1.0 - random.f64()).ln() / rate);
    let moments = gaps.scan(0.0, |at, gap| {
        *at += gap;
        Some(*at)
    });
    moments.take_while(|at| *at < length.as_secs_f64()).map(Duration::from_secs_f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let length = Duration::from_secs(1000);
        let moments = poisson(10.0, length, 7);
        // The count is Poisson with mean 10,000 and standard deviation 100.
        assert!(moments.len().abs_diff(10_000) < 400, "{}", moments.len());
        // In windows of 1 s, variance / mean is 1 with a standard error of 0.045.
        let mut windows = vec![0.0; 1000];
        for moment in &moments {
            windows[moment.as_secs() as usize] += 1.0;
        }
        let mean = windows.iter().sum::<f64>() / 1000.0;
        let variance = windows.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 999.0;
        assert!((variance / mean - 1.0).abs() < 0.18, "{}", variance / mean);
        assert!(moments.is_sorted());
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_again_and_another_one_others() {
        let length = Duration::from_secs(10);
        assert_eq!(poisson(5.0, length, 1), poisson(5.0, length, 1));
        assert_ne!(poisson(5.0, length, 1), poisson(5.0, length, 2));
    }
}
