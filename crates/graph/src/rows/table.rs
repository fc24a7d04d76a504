//! The table of numbers that the graph of rows reads: one line per row.

use ddpm_diffusion::{Clip, Evals, Mix, Push, RawVariance, Row};

use super::{keeps_anchor, replaces_x_0, replaces_x_t};

/// What a row may mix, in the order of [`Mix::coefficients`].
pub(super) const OPERANDS: usize = 9;
/// The mixes of a row: the next point, the next anchor, the push.
pub(super) const MIXES: usize = 3;

/// Where the groups of columns begin.
pub(super) mod column {
    use super::{MIXES, OPERANDS};

    /// Of each operand, one coefficient per mix.
    pub(in super::super) const MIX: usize = 0;
    /// What each sum begins with: −0, which changes nothing, or 0 if it has no terms.
    pub(in super::super) const START: usize = MIX + OPERANDS * MIXES;
    /// Weights of the first and of the second eval, and what F begins with.
    pub(in super::super) const EVALS: usize = START + MIXES;
    /// Coefficients of u and F in x_0.
    pub(in super::super) const X_0: usize = EVALS + 3;
    /// The least and the largest x_0.
    pub(in super::super) const CLIP: usize = X_0 + 2;
    /// Slope and offset of the log-deviation of noise.
    pub(in super::super) const VARIANCE: usize = CLIP + 2;
    /// Flags: whether noise is scaled, history is pushed, the anchor is set, the known image
    /// replaces x_0, or the point, and x_0 is thresholded.
    pub(in super::super) const FLAGS: usize = VARIANCE + 2;
    /// Number of flags.
    pub(in super::super) const FLAG_COUNT: usize = 6;
}

/// Numbers per row.
pub const WIDTH: usize = column::FLAGS + column::FLAG_COUNT;

/// Writes the line of a row.
///
/// * `uses_anchor`: whether the row's program keeps an anchor.
pub fn write(row: &Row, uses_anchor: bool, line: &mut [f32; WIDTH]) {
    let sets_anchor = uses_anchor && !keeps_anchor(row);
    let push = row.push.map_or(Mix::ZERO, |Push { u, x_0, f }| Mix { u, x_0, f, ..Mix::ZERO });
    for (mix, of) in [row.u, row.y, push].into_iter().enumerate() {
        let coefficients = of.coefficients();
        for (operand, coefficient) in coefficients.into_iter().enumerate() {
            line[column::MIX + operand * MIXES + mix] = coefficient as f32;
        }
        let is_empty = coefficients.iter().all(|coefficient| *coefficient == 0.0);
        line[column::START + mix] = if is_empty { 0.0 } else { -0.0 };
    }
    line[column::EVALS..][..3].copy_from_slice(&match row.evals {
        Evals::Zero => [0.0, 0.0, 0.0],
        Evals::One | Evals::Unconditional => [1.0, 0.0, -0.0],
        Evals::Guided { scale } => [scale as f32, (1.0 - scale) as f32, -0.0],
    });
    line[column::X_0..][..2].copy_from_slice(&[row.x_0.p_u as f32, row.x_0.p_f as f32]);
    line[column::CLIP..][..2].copy_from_slice(&match row.x_0.clip {
        Clip::Unit => [-1.0, 1.0],
        Clip::None | Clip::Dynamic { .. } => [f32::NEG_INFINITY, f32::INFINITY],
    });
    let (slope, offset) = match row.variance {
        RawVariance::None => (0.0, 0.0),
        RawVariance::LogVariance => (0.5, 0.0),
        RawVariance::Range { ln_min, ln_max } => {
            (((ln_max - ln_min) / 4.0) as f32, ((ln_max + ln_min) / 4.0) as f32)
        }
    };
    line[column::VARIANCE..][..2].copy_from_slice(&[slope, offset]);
    let flags = [
        row.variance != RawVariance::None,
        row.push.is_some(),
        sets_anchor,
        replaces_x_0(row),
        replaces_x_t(row),
        matches!(row.x_0.clip, Clip::Dynamic { .. }),
    ];
    let flags = flags.map(|flag| if flag { 1.0 } else { 0.0 });
    line[column::FLAGS..].copy_from_slice(&flags);
}

/// Where the quantile of dynamic thresholding lies among the sorted |x_0| of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// Positions of the elements around it.
    pub positions: [i64; 2],
    /// The share of the way between them, and the largest threshold.
    pub fraction_and_max: [f64; 2],
}

/// Returns where a row's quantile lies; anything if it does not threshold.
///
/// * `len`: elements of a sample.
#[must_use]
pub fn quantile(row: &Row, len: usize) -> Quantile {
    let (share, max) = match row.x_0.clip {
        Clip::Dynamic { quantile, max } => (quantile, max),
        Clip::None | Clip::Unit => (0.0, 1.0),
    };
    let last = len - 1;
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Quantile { positions: [below as i64, above as i64], fraction_and_max: [place.fract(), max] }
}
