//! Interpolation between two noisy states.

/// Interpolates spherically into `out`: along the great circle between the
/// directions of `a` and `b`, with the length interpolated too. Unlike a straight
/// line, this preserves the norm of noise.
///
/// * `fraction`: 0 is `a`, 1 is `b`, exactly.
/// * `a`, `b`, `out`: of equal length.
///
/// # Panics
///
/// If the lengths differ.
///
/// # Source
///
/// Shoemake 1985; for diffusion models Song et al. 2020 (DDIM), appendix D.5,
/// equation 67.
pub fn slerp(a: &[f32], b: &[f32], fraction: f64, out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len(), "states of different lengths");
    let (of_a, of_b) = weights(a, b, fraction);
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = (of_a * f64::from(*a) + of_b * f64::from(*b)) as f32;
    }
}

fn weights(a: &[f32], b: &[f32], fraction: f64) -> (f64, f64) {
    if fraction == 0.0 || fraction == 1.0 {
        return (1.0 - fraction, fraction);
    }
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let angle = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).clamp(-1.0, 1.0).acos();
    // Between parallel directions, or if one is undefined, the circle is a line.
    if angle.sin().abs() < 1e-6 || !angle.is_finite() {
        return (1.0 - fraction, fraction);
    }
    (((1.0 - fraction) * angle).sin() / angle.sin(), (fraction * angle).sin() / angle.sin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact_and_the_middle_keeps_its_length() {
        let (a, b) = ([1.0, 0.0, 0.1], [0.0, 1.0, 0.3]);
        let mut out = [0.0; 3];
        slerp(&a, &b, 0.0, &mut out);
        assert_eq!(out, a);
        slerp(&a, &b, 1.0, &mut out);
        assert_eq!(out, b);
        slerp(&[2.0, 0.0, 0.0], &[0.0, 2.0, 0.0], 0.5, &mut out);
        assert!((f64::from(out[0]).hypot(f64::from(out[1])) - 2.0).abs() < 1e-6, "{out:?}");
    }

    #[test]
    fn equal_and_empty_directions_go_along_a_line() {
        let mut out = [0.0; 2];
        slerp(&[1.0, 1.0], &[3.0, 3.0], 0.5, &mut out);
        assert_eq!(out, [2.0, 2.0]);
        slerp(&[0.0, 0.0], &[1.0, 0.0], 0.25, &mut out);
        assert_eq!(out, [0.25, 0.0]);
    }
}
