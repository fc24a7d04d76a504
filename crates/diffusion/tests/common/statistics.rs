//! Statistics whose distribution is known, and the normal distribution function.

/// P(N(0, 1) ≤ x), to about 1e-15.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() < 3.5 {
        // ½ + φ(x) Σ x^(2n+1)/(1 · 3 · … · (2n+1)).
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term.abs() > 1e-17 {
            n += 2.0;
            term *= x * x / n;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    // The continued fraction of Laplace for the tail.
    let tail = (1..60).rev().fold(x.abs(), |rest, n| x.abs() + f64::from(n) / rest);
    if x > 0.0 { 1.0 - density / tail } else { density / tail }
}

/// Pearson's statistic of values in [0, 1] over so many equal cells, which for
/// uniform values has one degree of freedom fewer.
pub(crate) fn chi_square(uniform: &[f64], cells: usize) -> f64 {
    let mut counts = vec![0.0; cells];
    for value in uniform {
        counts[((value * cells as f64) as usize).min(cells - 1)] += 1.0;
    }
    let expected = uniform.len() as f64 / cells as f64;
    counts.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum()
}

/// P(χ² ≥ x) with so many degrees of freedom.
pub(crate) fn chi_square_tail(x: f64, degrees: usize) -> f64 {
    let (half, x) = (degrees as f64 / 2.0, x / 2.0);
    // ln Γ(half + 1) by its recursion, down to Γ(1) = 1 or Γ(½) = √π.
    let factors = (0..degrees.div_ceil(2)).map(|k| (half - k as f64).ln());
    let rest = if degrees.is_multiple_of(2) { 0.0 } else { 0.5 * std::f64::consts::PI.ln() };
    let log_gamma = factors.sum::<f64>() + rest;
    let front = (half * x.ln() - x - log_gamma).exp();
    if x < half + 1.0 {
        let (mut term, mut sum, mut n) = (1.0, 1.0, half);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    // Legendre's continued fraction for the upper part.
    let fraction = (1..400).rev().fold(0.0, |rest, n| {
        let n = f64::from(n);
        n * (half - n) / (x + 2.0 * n + 1.0 - half + rest)
    });
    front * half / (x + 1.0 - half + fraction)
}

/// The Kolmogorov–Smirnov distance of values from the uniform distribution on
/// [0, 1], and a bound of P(a larger one): 2 exp(−2 n D²) for every n (Massart 1990).
pub(crate) fn kolmogorov_smirnov(mut uniform: Vec<f64>) -> (f64, f64) {
    uniform.sort_by(f64::total_cmp);
    let count = uniform.len() as f64;
    let distance = uniform.iter().enumerate().map(|(k, value)| {
        let k = k as f64;
        (value - k / count).max((k + 1.0) / count - value)
    });
    let distance = distance.fold(0.0, f64::max);
    (distance, (2.0 * (-2.0 * count * distance * distance).exp()).min(1.0))
}
