//! The numbers of a row with their fields.

use crate::{Clip, Evals, MixField, RawVariance, Row, RowField};

/// The coefficients of a mix, in their order.
const MIX: [MixField; 9] = [
    MixField::U,
    MixField::Y,
    MixField::X0,
    MixField::F,
    MixField::H,
    MixField::H,
    MixField::H,
    MixField::Z,
    MixField::Known,
];

/// Lists every number of a row that the kernel uses with its field, in a fixed order.
pub(super) fn numbers(row: &Row) -> impl Iterator<Item = (RowField, f64)> {
    let scale = match row.evals {
        Evals::Guided { scale } => scale,
        Evals::Zero | Evals::One | Evals::Unconditional => 0.0,
    };
    let [quantile, max] = match row.x_0.clip {
        Clip::Dynamic { quantile, max } => [quantile, max],
        Clip::None | Clip::Unit => [0.0; 2],
    };
    let [ln_min, ln_max] = match row.variance {
        RawVariance::Range { ln_min, ln_max } => [ln_min, ln_max],
        RawVariance::None | RawVariance::LogVariance => [0.0; 2],
    };
    let push = row.push.unwrap_or_default();
    let y = MIX.map(RowField::Y).into_iter().zip(row.y.coefficients());
    let u = MIX.map(RowField::U).into_iter().zip(row.u.coefficients());
    [
        (RowField::GuidanceScale, scale),
        (RowField::T, row.t),
        (RowField::CIn, row.c_in),
        (RowField::PU, row.x_0.p_u),
        (RowField::PF, row.x_0.p_f),
        (RowField::Push(MixField::U), push.u),
        (RowField::Push(MixField::X0), push.x_0),
        (RowField::Push(MixField::F), push.f),
        (RowField::Clip, quantile),
        (RowField::Clip, max),
        (RowField::Variance, ln_min),
        (RowField::Variance, ln_max),
    ]
    .into_iter()
    .chain(y)
    .chain(u)
}
