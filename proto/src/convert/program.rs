//! Rows, field by field.

use ddpm_diffusion::{Evals, Label, Mask, Mix, NoiseAddress, Push, RawVariance, Row, X0Rule};

use super::clip::clip_from_proto;
use super::{Fault, clip_to_proto, code};
use crate::v1;

/// Most faults reported at once.
const MAX_FAULTS: usize = 20;

/// Reads rows. [`ddpm_diffusion::Program::checked`] checks their numbers.
///
/// # Errors
///
/// Every field that cannot be read, up to twenty; the list alone if it is too long.
pub fn rows_from_proto(program: v1::Program) -> Result<Vec<Row>, Vec<Fault>> {
    let (max, got) = (ddpm_diffusion::Program::MAX_ROWS, program.rows.len());
    if got > max {
        return Err(vec![Fault::new("rows", format!("holds at most {max} rows, got more"))]);
    }
    let num_steps = program.rows.last().map_or(0, |row| row.step);
    let mut faults = Vec::new();
    let mut rows = Vec::with_capacity(got);
    for (position, row) in program.rows.into_iter().enumerate() {
        match row_from_proto(row, num_steps) {
            Ok(row) => rows.push(row),
            Err(fault) => {
                let field = format!("rows[{position}].{}", fault.field);
                faults.push(Fault { field, ..fault });
            }
        }
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

/// Writes rows.
#[must_use]
pub fn rows_to_proto(rows: &[Row]) -> v1::Program {
    v1::Program { rows: rows.iter().map(row_to_proto).collect() }
}

fn row_from_proto(row: v1::Row, num_steps: u32) -> Result<Row, Fault> {
    let clip = clip_from_proto(code("clip", row.clip)?, row.dynamic_threshold)?;
    let Some(u) = row.u else { return Err(Fault::new("u", "is required")) };
    Ok(Row {
        evals: evals_from_proto(code("evals", row.evals)?, row.guidance_scale)?,
        t: row.t,
        c_in: row.c_in.unwrap_or(1.0),
        x_0: X0Rule {
            p_u: row.p_u,
            p_f: row.p_f,
            clip: clip.unwrap_or(ddpm_diffusion::Clip::None),
        },
        y: match row.y {
            Some(y) => mix_from_proto("y", &y)?,
            None => Mix { y: 1.0, ..Mix::ZERO },
        },
        u: mix_from_proto("u", &u)?,
        push: row.push.map(|push| Push { u: push.u, x_0: push.x_0, f: push.f }),
        variance: variance_from_proto(row.variance)?,
        mask: match code("mask", row.mask)? {
            v1::Mask::Unspecified => Mask::None,
            v1::Mask::ReplaceX0 => Mask::ReplaceX0,
            v1::Mask::ReplaceXT => Mask::ReplaceXt,
        },
        noise: NoiseAddress { draw: row.draw, index: row.noise_index },
        label: Label {
            step: row.step,
            num_steps,
            ends_step: row.ends_step,
            noise_level: row.noise_level,
        },
    })
}

fn row_to_proto(row: &Row) -> v1::Row {
    let (evals, guidance_scale) = evals_to_proto(row.evals);
    let (clip, dynamic_threshold) = clip_to_proto(row.x_0.clip);
    let keeps_y = row.y == Mix { y: 1.0, ..Mix::ZERO };
    v1::Row {
        evals: evals.into(),
        guidance_scale,
        t: row.t,
        c_in: Some(row.c_in),
        p_u: row.x_0.p_u,
        p_f: row.x_0.p_f,
        clip: clip.into(),
        dynamic_threshold,
        y: (!keeps_y).then(|| mix_to_proto(&row.y)),
        u: Some(mix_to_proto(&row.u)),
        push: row.push.map(|push| v1::Push { u: push.u, x_0: push.x_0, f: push.f }),
        variance: variance_to_proto(row.variance),
        mask: match row.mask {
            Mask::None => v1::Mask::Unspecified,
            Mask::ReplaceX0 => v1::Mask::ReplaceX0,
            Mask::ReplaceXt => v1::Mask::ReplaceXT,
        }
        .into(),
        draw: row.noise.draw,
        noise_index: row.noise.index,
        step: row.label.step,
        ends_step: row.label.ends_step,
        noise_level: row.label.noise_level,
    }
}

fn evals_from_proto(evals: v1::Evals, scale: f64) -> Result<Evals, Fault> {
    if scale != 0.0 && evals != v1::Evals::Guided {
        return Err(Fault::new("guidance_scale", "is only for EVALS_GUIDED; leave it out"));
    }
    match evals {
        v1::Evals::Unspecified => Err(Fault::new("evals", "is required")),
        v1::Evals::Zero => Ok(Evals::Zero),
        v1::Evals::One => Ok(Evals::One),
        v1::Evals::Unconditional => Ok(Evals::Unconditional),
        v1::Evals::Guided => Ok(Evals::Guided { scale }),
    }
}

fn evals_to_proto(evals: Evals) -> (v1::Evals, f64) {
    match evals {
        Evals::Zero => (v1::Evals::Zero, 0.0),
        Evals::One => (v1::Evals::One, 0.0),
        Evals::Unconditional => (v1::Evals::Unconditional, 0.0),
        Evals::Guided { scale } => (v1::Evals::Guided, scale),
    }
}

fn mix_from_proto(field: &str, mix: &v1::Mix) -> Result<Mix, Fault> {
    let mut h = [0.0; 3];
    if mix.h.len() > h.len() {
        let got = mix.h.len();
        return Err(Fault::new(
            format!("{field}.h"),
            format!("holds at most 3 numbers, got {got}"),
        ));
    }
    h[..mix.h.len()].copy_from_slice(&mix.h);
    let v1::Mix { u, y, x_0, f, z, known, .. } = *mix;
    Ok(Mix { u, y, x_0, f, h, z, known })
}

fn mix_to_proto(mix: &Mix) -> v1::Mix {
    let Mix { u, y, x_0, f, h, z, known } = *mix;
    let used = h.iter().rposition(|coefficient| *coefficient != 0.0).map_or(0, |last| last + 1);
    v1::Mix { u, y, x_0, f, h: h[..used].to_vec(), z, known }
}

fn variance_from_proto(variance: Option<v1::RowVariance>) -> Result<RawVariance, Fault> {
    use v1::row_variance::Kind;
    match variance {
        None => Ok(RawVariance::None),
        Some(v1::RowVariance { kind: Some(Kind::LogVariance(_)) }) => Ok(RawVariance::LogVariance),
        Some(v1::RowVariance { kind: Some(Kind::Range(range)) }) => {
            Ok(RawVariance::Range { ln_min: range.ln_min, ln_max: range.ln_max })
        }
        Some(v1::RowVariance { kind: None }) => {
            Err(Fault::new("variance.kind", "is required where there is a variance"))
        }
    }
}

fn variance_to_proto(variance: RawVariance) -> Option<v1::RowVariance> {
    use v1::row_variance::Kind;
    let kind = match variance {
        RawVariance::None => return None,
        RawVariance::LogVariance => Kind::LogVariance(v1::LogVariance {}),
        RawVariance::Range { ln_min, ln_max } => Kind::Range(v1::VarianceRange { ln_min, ln_max }),
    };
    Some(v1::RowVariance { kind: Some(kind) })
}
