//! Logarithm, sine and cosine from +, −, ×, ÷ and √ alone.
//!
//! The C library's differ between machines; these are IEEE 754 operations in a
//! fixed order, so noise has the same bits everywhere. They are accurate to a few
//! units in the last place of binary64, which the tests show.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// Two independent standard normal variates from two random words.
///
/// # Source
///
/// Box & Muller 1958, with u = (w_0 + ½)/2³² and v = w_1/2³².
pub(crate) fn box_muller(w_0: u32, w_1: u32) -> (f64, f64) {
    let u = (f64::from(w_0) + 0.5) / TWO_32;
    let radius = (-2.0 * ln(u)).sqrt();
    let (sin, cos) = sin_cos_turn(w_1);
    (radius * cos, radius * sin)
}

const TWO_32: f64 = 4_294_967_296.0;

/// ln x for positive, normal x.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // ln m = 2 artanh s, |s| < 0.1716: the series' rest is below 1e-17.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for k in (0..11).rev() {
        series = series * square + 1.0 / f64::from(2 * k + 1);
    }
    exponent * LN_2 + 2.0 * s * series
}

/// (sin, cos) of 2π w / 2³².
fn sin_cos_turn(w: u32) -> (f64, f64) {
    // The nearest quarter turn, and the rest in [−1/8, 1/8) of a turn: both exact.
    let quarter = w.wrapping_add(1 << 29) >> 30;
    let rest = f64::from(w.wrapping_sub(quarter << 30) as i32) / TWO_32;
    let angle = 2.0 * PI * rest;
    let square = angle * angle;
    let (mut sin, mut cos) = (1.0, 1.0);
    for k in (1..9).rev() {
        let k = f64::from(k);
        sin = 1.0 - square / (2.0 * k * (2.0 * k + 1.0)) * sin;
        cos = 1.0 - square / (2.0 * k * (2.0 * k - 1.0)) * cos;
    }
    sin *= angle;
    match quarter {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_accurate_over_its_whole_range() {
        for k in 0..100_000u32 {
            let x = (f64::from(k.wrapping_mul(2_654_435_761)) + 0.5) / TWO_32;
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(0.25), "x = {x}");
        }
    }

    #[test]
    fn sine_and_cosine_are_accurate_over_the_whole_turn() {
        for k in 0..100_000u32 {
            let w = k.wrapping_mul(2_654_435_761);
            let (want_sin, want_cos) = (f64::from(w) / TWO_32 * 2.0 * PI).sin_cos();
            let (sin, cos) = sin_cos_turn(w);
            assert!((sin - want_sin).abs() < 1e-15 && (cos - want_cos).abs() < 1e-15, "w = {w}");
        }
    }

    #[test]
    fn the_quarters_are_exact() {
        assert_eq!(sin_cos_turn(0), (0.0, 1.0));
        assert_eq!(sin_cos_turn(1 << 30), (1.0, -0.0));
        assert_eq!(sin_cos_turn(2 << 30), (-0.0, -1.0));
        assert_eq!(sin_cos_turn(3 << 30), (-1.0, 0.0));
    }
}
