//! Logarithm, sine and cosine from +, −, ×, ÷ and √ alone.
//!
//! The C library's differ between machines; these are IEEE 754 operations in a
//! fixed order, so noise has the same bits everywhere. They are accurate to a few
//! units in the last place of binary64, which the tests show.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use pulp::{Arch, Simd, WithSimd};

/// Pairs of variates computed together.
pub(crate) const PAIRS: usize = 32;

/// Turns random words into standard normal variates: words 2i and 2i + 1 give the
/// variates 2i and 2i + 1.
///
/// The bits are the same as pair by pair, however wide the processor's vectors:
/// lanes never meet, and Rust never fuses × and + into one rounding.
///
/// # Source
///
/// Box & Muller 1958, with u = (w_0 + ½)/2³² and v = w_1/2³².
pub(crate) fn box_muller(words: &[u32; 2 * PAIRS], out: &mut [f64; 2 * PAIRS]) {
    Arch::new().dispatch(BoxMuller { words, out });
}

/// [`box_muller`] in the form that pulp compiles for each vector width: a closure
/// would not be inlined, and would use the narrowest.
struct BoxMuller<'a> {
    words: &'a [u32; 2 * PAIRS],
    out: &'a mut [f64; 2 * PAIRS],
}

impl WithSimd for BoxMuller<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { words, out } = self;
        for (out, words) in out.as_chunks_mut().0.iter_mut().zip(words.as_chunks().0) {
            *out = box_muller_pair(*words);
        }
    }
}

/// Computes one pair of [`box_muller`].
#[inline(always)]
pub(crate) fn box_muller_pair([w_0, w_1]: [u32; 2]) -> [f64; 2] {
    let radius = (-2.0 * ln_of_fraction(w_0)).sqrt();
    let (sin, cos) = sin_cos_turn(w_1);
    [radius * cos, radius * sin]
}

const TWO_32: f64 = 4_294_967_296.0;

/// 2⁵² as a float: or-ing an integer into its mantissa adds it, exactly.
const TWO_52: f64 = 4_503_599_627_370_496.0;

/// 1/1, 1/3, 1/5 …: the series of artanh s / s in s².
const ARTANH: [f64; 11] = {
    let mut series = [0.0; 11];
    let mut k = 0;
    while k < series.len() {
        series[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    series
};

/// 1, −1/3!, 1/5! …: the series of sin x / x in x².
const SIN: [f64; 9] = alternating_factorials(1);

/// 1, −1/2!, 1/4! …: the series of cos x in x².
const COS: [f64; 9] = alternating_factorials(0);

const fn alternating_factorials(first: usize) -> [f64; 9] {
    let mut series = [1.0; 9];
    let mut k = 1;
    while k < series.len() {
        let n = (2 * k + first) as f64;
        series[k] = -series[k - 1] / (n * (n - 1.0));
        k += 1;
    }
    series
}

/// Computes ln ((w + ½)/2³²).
#[inline(always)]
fn ln_of_fraction(w: u32) -> f64 {
    let bits = (f64::from(w) + 0.5).to_bits();
    // The exponent that puts the mantissa between √½ and √2.
    let above = bits.wrapping_add(1.0f64.to_bits() - FRAC_1_SQRT_2.to_bits()) >> 52;
    let mantissa = f64::from_bits(bits.wrapping_sub(above << 52).wrapping_add(1.0f64.to_bits()));
    let exponent = f64::from_bits(TWO_52.to_bits() | above) - (TWO_52 + 1023.0 + 32.0);
    // ln m = 2 artanh s, |s| < 0.1716: the remainder of the series is below 1e-17.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    exponent * LN_2 + 2.0 * s * series(&ARTANH, s * s)
}

/// Computes (sin, cos) of 2π w / 2³².
#[inline(always)]
fn sin_cos_turn(w: u32) -> (f64, f64) {
    // The nearest quarter turn, and the remainder in [−1/8, 1/8) of a turn: both exact.
    let quarter = w.wrapping_add(1 << 29) >> 30;
    let rest = f64::from(w.wrapping_sub(quarter << 30) as i32);
    let angle = rest * (2.0 * PI / TWO_32);
    let square = angle * angle;
    let (sin, cos) = (angle * series(&SIN, square), series(&COS, square));
    // A quarter turn maps (sin, cos) to (cos, −sin).
    let (sin, cos) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let negated = |x: f64, if_2: u32| f64::from_bits(x.to_bits() ^ (u64::from(if_2 & 2) << 62));
    (negated(sin, quarter), negated(cos, quarter + 1))
}

/// Computes Σ coefficients[k] xᵏ by Horner's rule.
#[inline(always)]
fn series<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_accurate_over_its_whole_range() {
        for k in 0..100_000u32 {
            let w = k.wrapping_mul(2_654_435_761);
            let want = ((f64::from(w) + 0.5) / TWO_32).ln();
            let got = ln_of_fraction(w);
            assert!(
                (got - want).abs() <= 4e-16 * want.abs().max(0.25),
                "w = {w}: {got}, not {want}"
            );
        }
        for w in [0, 1, u32::MAX / 2, u32::MAX - 1, u32::MAX] {
            let want = ((f64::from(w) + 0.5) / TWO_32).ln();
            assert!((ln_of_fraction(w) - want).abs() <= 4e-16 * want.abs(), "w = {w}");
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
    fn pairs_computed_together_have_the_bits_of_pairs_computed_alone() {
        let words: [u32; 2 * PAIRS] =
            std::array::from_fn(|k| (k as u32 + 1).wrapping_mul(2_654_435_761));
        let mut together = [0.0; 2 * PAIRS];
        box_muller(&words, &mut together);
        for (got, words) in together.as_chunks().0.iter().zip(words.as_chunks().0) {
            assert_eq!(*got, box_muller_pair(*words));
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
