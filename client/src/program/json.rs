//! `ddpm.v1.Program` as JSON: a mirror of its messages for serde that refuses unknown
//! fields.

use ddpm_proto::v1;
use ddpm_proto::v1::row_variance::Kind;
use serde::{Deserialize, Serialize};

/// Reads a program.
///
/// # Errors
///
/// What is wrong, and where.
pub(super) fn read(text: &str) -> Result<v1::Program, String> {
    let program: Program = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let rows = program.rows.into_iter().enumerate().map(|(position, row)| {
        row.into_proto().map_err(|fault| format!("rows[{position}].{fault}"))
    });
    Ok(v1::Program { rows: rows.collect::<Result<_, _>>()? })
}

/// Writes a program, one row per line.
pub(super) fn write(program: &v1::Program) -> String {
    let line = |row: &v1::Row| {
        let row = serde_json::to_string(&Row::from_proto(row));
        format!("  {}", row.expect("plain structs always serialise"))
    };
    let lines: Vec<String> = program.rows.iter().map(line).collect();
    format!("{{\"rows\": [\n{}\n]}}\n", lines.join(",\n"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    rows: Vec<Row>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    #[serde(skip_serializing_if = "String::is_empty")]
    evals: String,
    #[serde(skip_serializing_if = "is_zero")]
    guidance_scale: f64,
    #[serde(skip_serializing_if = "is_zero")]
    t: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_in: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    p_u: f64,
    #[serde(skip_serializing_if = "is_zero")]
    p_f: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    clip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_threshold: Option<DynamicThreshold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<Mix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<Mix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<Push>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variance: Option<RowVariance>,
    #[serde(skip_serializing_if = "String::is_empty")]
    mask: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_index: Option<u64>,
    step: u32,
    ends_step: bool,
    #[serde(skip_serializing_if = "is_zero")]
    noise_level: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DynamicThreshold {
    quantile: Option<f64>,
    max: Option<f64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mix {
    #[serde(skip_serializing_if = "is_zero")]
    u: f64,
    #[serde(skip_serializing_if = "is_zero")]
    y: f64,
    #[serde(skip_serializing_if = "is_zero")]
    x_0: f64,
    #[serde(skip_serializing_if = "is_zero")]
    f: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    h: Vec<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    z: f64,
    #[serde(skip_serializing_if = "is_zero")]
    known: f64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Push {
    #[serde(skip_serializing_if = "is_zero")]
    u: f64,
    #[serde(skip_serializing_if = "is_zero")]
    x_0: f64,
    #[serde(skip_serializing_if = "is_zero")]
    f: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RowVariance {
    LogVariance {},
    Range { ln_min: f64, ln_max: f64 },
}

/// Returns whether a number may be omitted: -0 is not 0.
fn is_zero(number: &f64) -> bool {
    number.to_bits() == 0
}

impl Row {
    fn from_proto(row: &v1::Row) -> Self {
        let unless_0 = |number: i32, name: &str| if number == 0 { "" } else { name }.to_owned();
        Self {
            evals: unless_0(row.evals, row.evals().as_str_name()),
            guidance_scale: row.guidance_scale,
            t: row.t,
            c_in: row.c_in,
            p_u: row.p_u,
            p_f: row.p_f,
            clip: unless_0(row.clip, row.clip().as_str_name()),
            dynamic_threshold: row
                .dynamic_threshold
                .map(|v1::DynamicThreshold { quantile, max }| DynamicThreshold { quantile, max }),
            y: row.y.as_ref().map(Mix::from_proto),
            u: row.u.as_ref().map(Mix::from_proto),
            push: row.push.map(|v1::Push { u, x_0, f }| Push { u, x_0, f }),
            variance: row.variance.and_then(|variance| variance.kind).map(|kind| match kind {
                Kind::LogVariance(v1::LogVariance {}) => RowVariance::LogVariance {},
                Kind::Range(v1::VarianceRange { ln_min, ln_max }) => {
                    RowVariance::Range { ln_min, ln_max }
                }
            }),
            mask: unless_0(row.mask, row.mask().as_str_name()),
            draw: row.draw,
            noise_index: row.noise_index,
            step: row.step,
            ends_step: row.ends_step,
            noise_level: row.noise_level,
        }
    }

    /// Converts the row.
    ///
    /// # Errors
    ///
    /// The field whose value is not a name of its enum.
    fn into_proto(self) -> Result<v1::Row, String> {
        let evals = ["EVALS_ZERO", "EVALS_ONE", "EVALS_UNCONDITIONAL", "EVALS_GUIDED"];
        let clips = ["CLIP_NONE", "CLIP_UNIT", "CLIP_DYNAMIC"];
        let masks = ["MASK_REPLACE_X_0", "MASK_REPLACE_X_T"];
        Ok(v1::Row {
            evals: number("evals", &self.evals, &evals, v1::Evals::from_str_name)?,
            guidance_scale: self.guidance_scale,
            t: self.t,
            c_in: self.c_in,
            p_u: self.p_u,
            p_f: self.p_f,
            clip: number("clip", &self.clip, &clips, v1::Clip::from_str_name)?,
            dynamic_threshold: self
                .dynamic_threshold
                .map(|DynamicThreshold { quantile, max }| v1::DynamicThreshold { quantile, max }),
            y: self.y.map(Mix::into_proto),
            u: self.u.map(Mix::into_proto),
            push: self.push.map(|Push { u, x_0, f }| v1::Push { u, x_0, f }),
            variance: self.variance.map(|variance| {
                let kind = match variance {
                    RowVariance::LogVariance {} => Kind::LogVariance(v1::LogVariance {}),
                    RowVariance::Range { ln_min, ln_max } => {
                        Kind::Range(v1::VarianceRange { ln_min, ln_max })
                    }
                };
                v1::RowVariance { kind: Some(kind) }
            }),
            mask: number("mask", &self.mask, &masks, v1::Mask::from_str_name)?,
            draw: self.draw,
            noise_index: self.noise_index,
            step: self.step,
            ends_step: self.ends_step,
            noise_level: self.noise_level,
        })
    }
}

impl Mix {
    fn from_proto(mix: &v1::Mix) -> Self {
        let v1::Mix { u, y, x_0, f, z, known, ref h } = *mix;
        Self { u, y, x_0, f, h: h.clone(), z, known }
    }

    fn into_proto(self) -> v1::Mix {
        let Self { u, y, x_0, f, h, z, known } = self;
        v1::Mix { u, y, x_0, f, h, z, known }
    }
}

/// Returns the number of an enum's name; 0 for an empty name.
fn number<E: Into<i32>>(
    field: &str,
    name: &str,
    names: &[&str],
    find: impl Fn(&str) -> Option<E>,
) -> Result<i32, String> {
    match name {
        "" => Ok(0),
        name => match find(name) {
            Some(value) => Ok(value.into()),
            None => Err(format!("{field}: `{name}` is not one of {}", names.join(", "))),
        },
    }
}
