//! Mixtures of Gaussians in the plane: every score, flow and distribution function
//! of theirs is known.

use super::normal_cdf;

/// One Gaussian of a mixture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    pub(crate) weight: f64,
    pub(crate) mean: [f64; 2],
    /// Variances of both coordinates and their covariance.
    pub(crate) variance: [f64; 2],
    pub(crate) covariance: f64,
}

/// Weighted Gaussians; with one component, a Gaussian.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    pub(crate) components: Vec<Component>,
}

impl Mixture {
    pub(crate) fn gaussian(mean: [f64; 2], variance: [f64; 2], covariance: f64) -> Self {
        Self { components: vec![Component { weight: 1.0, mean, variance, covariance }] }
    }

    /// One component alone.
    pub(crate) fn component(&self, which: usize) -> Self {
        let one = Component { weight: 1.0, ..self.components[which] };
        Self { components: vec![one] }
    }

    /// The distribution of α x_0 + σ ε.
    pub(crate) fn noised(&self, alpha: f64, sigma: f64) -> Self {
        let noised = |one: &Component| Component {
            weight: one.weight,
            mean: one.mean.map(|mean| alpha * mean),
            variance: one.variance.map(|variance| alpha * alpha * variance + sigma * sigma),
            covariance: alpha * alpha * one.covariance,
        };
        Self { components: self.components.iter().map(noised).collect() }
    }

    /// E[x_0 given x = α x_0 + σ ε] of points `[n, 2]`, into `x_0` `[n, 2]`.
    pub(crate) fn posterior_mean(&self, alpha: f64, sigma: f64, x: &[f64], x_0: &mut [f64]) {
        let parts: Vec<Part> =
            self.components.iter().map(|one| Part::new(one, alpha, sigma)).collect();
        let mut logs = vec![0.0; parts.len()];
        for (x, x_0) in x.chunks_exact(2).zip(x_0.chunks_exact_mut(2)) {
            for (log, part) in logs.iter_mut().zip(&parts) {
                *log = part.log_density(x);
            }
            let most = logs.iter().copied().fold(f64::MIN, f64::max);
            let mut sums = [0.0; 3];
            for (log, part) in logs.iter().zip(&parts) {
                let weight = (log - most).exp();
                let mean = part.posterior_mean(x);
                for (sum, value) in sums.iter_mut().zip([1.0, mean[0], mean[1]]) {
                    *sum += weight * value;
                }
            }
            (x_0[0], x_0[1]) = (sums[1] / sums[0], sums[2] / sums[0]);
        }
    }

    /// P(X ≤ x) of the coordinate along `direction`, a unit vector.
    pub(crate) fn projected_cdf(&self, direction: [f64; 2], x: f64) -> f64 {
        let [a, b] = direction;
        let of = |one: &Component| {
            let [v, w] = one.variance;
            let mean = a * one.mean[0] + b * one.mean[1];
            let variance = a * a * v + b * b * w + 2.0 * a * b * one.covariance;
            one.weight * normal_cdf((x - mean) / variance.sqrt())
        };
        self.components.iter().map(of).sum()
    }

    /// P(X_2 ≤ x_2 given X_1 = x_1).
    pub(crate) fn conditional_cdf(&self, x_1: f64, x_2: f64) -> f64 {
        let (mut below, mut all) = (0.0, 0.0);
        for one in &self.components {
            let [v, w] = one.variance;
            let from_mean = x_1 - one.mean[0];
            let weight = one.weight * (-from_mean * from_mean / (2.0 * v)).exp() / v.sqrt();
            let mean = one.mean[1] + one.covariance / v * from_mean;
            let variance = w - one.covariance * one.covariance / v;
            below += weight * normal_cdf((x_2 - mean) / variance.sqrt());
            all += weight;
        }
        below / all
    }

    /// The transform that makes samples of this mixture uniform on the unit square
    /// (Rosenblatt 1952): the distribution function of x_1, and that of x_2 given it.
    pub(crate) fn to_uniform(&self, x: &[f64]) -> [f64; 2] {
        [self.projected_cdf([1.0, 0.0], x[0]), self.conditional_cdf(x[0], x[1])]
    }

    /// Where the probability-flow ODE takes x from one (α, σ) to another: along each
    /// axis of a Gaussian the distance from the mean stays the same number of
    /// standard deviations.
    pub(crate) fn flow(&self, from: (f64, f64), to: (f64, f64), x: &[f64]) -> Vec<f64> {
        let [one] = self.components[..] else { panic!("only a Gaussian's flow is known") };
        let ([v, w], c) = (one.variance, one.covariance);
        let (sin, cos) = (0.5 * (2.0 * c).atan2(v - w)).sin_cos();
        let root = (0.25 * (v - w) * (v - w) + c * c).sqrt();
        let scale = |variance: f64| {
            let spread =
                |(alpha, sigma): (f64, f64)| (alpha * alpha * variance + sigma * sigma).sqrt();
            spread(to) / spread(from)
        };
        let (long, short) = (scale(0.5 * (v + w) + root), scale(0.5 * (v + w) - root));
        let (dx, dy) = (x[0] - from.0 * one.mean[0], x[1] - from.0 * one.mean[1]);
        let (along, across) = (long * (cos * dx + sin * dy), short * (cos * dy - sin * dx));
        vec![
            to.0 * one.mean[0] + cos * along - sin * across,
            to.0 * one.mean[1] + sin * along + cos * across,
        ]
    }
}

/// A component at one noise, ready to be evaluated.
struct Part {
    log_weight: f64,
    mean: [f64; 2],
    of_data: [f64; 2],
    /// The inverse covariance of x: of both coordinates and mixed.
    precision: [f64; 3],
    /// The gain from x to x_0, row by row.
    gain: [f64; 4],
}

impl Part {
    fn new(one: &Component, alpha: f64, sigma: f64) -> Self {
        let ([v, w], c) = (one.variance, one.covariance);
        let noised = |variance: f64| alpha * alpha * variance + sigma * sigma;
        let (a, b, d) = (noised(v), alpha * alpha * c, noised(w));
        let determinant = a * d - b * b;
        let precision = [d / determinant, a / determinant, -b / determinant];
        let [p, q, r] = precision;
        Self {
            log_weight: one.weight.ln() - 0.5 * determinant.ln(),
            mean: one.mean.map(|mean| alpha * mean),
            of_data: one.mean,
            precision,
            gain: [v * p + c * r, v * r + c * q, c * p + w * r, c * r + w * q]
                .map(|gain| alpha * gain),
        }
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        let (dx, dy) = (x[0] - self.mean[0], x[1] - self.mean[1]);
        let [p, q, r] = self.precision;
        self.log_weight - 0.5 * (p * dx * dx + q * dy * dy + 2.0 * r * dx * dy)
    }

    fn posterior_mean(&self, x: &[f64]) -> [f64; 2] {
        let (dx, dy) = (x[0] - self.mean[0], x[1] - self.mean[1]);
        let [a, b, c, d] = self.gain;
        [self.of_data[0] + a * dx + b * dy, self.of_data[1] + c * dx + d * dy]
    }
}
