//! The numbers of a row under the names of their fields.

use crate::{Clip, Evals, RawVariance, Row};

/// The names of a mix's coefficients, in their order.
macro_rules! mix_fields {
    ($of:literal) => {
        [
            concat!($of, ".u"),
            concat!($of, ".y"),
            concat!($of, ".x_0"),
            concat!($of, ".f"),
            concat!($of, ".h"),
            concat!($of, ".h"),
            concat!($of, ".h"),
            concat!($of, ".z"),
            concat!($of, ".known"),
        ]
    };
}

/// Every number of a row that the kernel uses, in a fixed order, with its field.
pub(super) fn numbers(row: &Row) -> impl Iterator<Item = (&'static str, f64)> {
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
    let y = mix_fields!("y").into_iter().zip(row.y.coefficients());
    let u = mix_fields!("u").into_iter().zip(row.u.coefficients());
    [
        ("evals.scale", scale),
        ("t", row.t),
        ("c_in", row.c_in),
        ("x_0.p_u", row.x_0.p_u),
        ("x_0.p_f", row.x_0.p_f),
        ("push.u", push.u),
        ("push.x_0", push.x_0),
        ("push.f", push.f),
        ("x_0.clip", quantile),
        ("x_0.clip", max),
        ("variance", ln_min),
        ("variance", ln_max),
    ]
    .into_iter()
    .chain(y)
    .chain(u)
}
