//! Samplers with their options.
//!
//! The build script writes `read`, `write` and `codes` from the contract: they know the fields of
//! each message by name, as [`ddpm_diffusion`] knows the options of each sampler.

use ddpm_diffusion::Sampler;
use ddpm_diffusion::samplers::{Allowed, OptionInfo, Value};

use super::Fault;
use crate::v1;
use crate::v1::sampler::Kind;

include!(concat!(env!("OUT_DIR"), "/samplers.rs"));

/// A field of `Sampler.kind`, and the fields of its message with their values.
type Read = (&'static str, Vec<(&'static str, Value)>);

/// What a `Sampler` message requests.
#[derive(Debug, Clone, PartialEq)]
pub enum SamplerChoice {
    /// A named sampler.
    Sampler(Sampler),
    /// The server's choice for the budget.
    Auto,
    /// The client's own rows, not read yet.
    Program(v1::Program),
}

/// Reads a sampler. [`Sampler::check`] checks the ranges of its options.
///
/// # Errors
///
/// If no kind is set, or an enum holds an unknown value.
pub fn sampler_from_proto(message: v1::Sampler) -> Result<SamplerChoice, Fault> {
    let Some(kind) = message.kind else {
        let names = Sampler::ALL.map(Sampler::name).join(", ");
        return Err(Fault::new("kind", format!("is required: auto, program, {names}")));
    };
    match kind {
        Kind::Auto(_) => Ok(SamplerChoice::Auto),
        Kind::Program(program) => Ok(SamplerChoice::Program(program)),
        named => named_sampler(&named).map(SamplerChoice::Sampler),
    }
}

fn named_sampler(kind: &Kind) -> Result<Sampler, Fault> {
    let unknown = || Fault::new("kind", "is no sampler that is known here");
    let (field, values) = read(kind)?.ok_or_else(unknown)?;
    Sampler::from_wire(field, &values).ok_or_else(unknown)
}

/// Writes a sampler with every option filled in.
///
/// # Panics
///
/// If the contract lacks the sampler or an option, which a test rules out.
#[must_use]
pub fn sampler_to_proto(sampler: Sampler) -> v1::Sampler {
    let kind = write(sampler.field(), &sampler.options());
    v1::Sampler { kind: Some(kind.expect("the contract has every sampler with its options")) }
}

/// Describes a sampler and its options.
///
/// * `default_num_steps`: steps of a run that names none.
#[must_use]
pub fn sampler_info(sampler: Sampler, default_num_steps: usize) -> v1::SamplerInfo {
    let field = sampler.field();
    let option = |option: &OptionInfo| v1::SamplerOption {
        name: option.name.into(),
        field: option.field.clone(),
        allowed: Some(allowed(field, option)),
    };
    v1::SamplerInfo {
        name: sampler.name().into(),
        field: field.into(),
        options: sampler.options().iter().map(option).collect(),
        default_num_steps: default_num_steps as u32,
        encodes: sampler.encodes(),
        single_step: sampler.is_one_step(),
    }
}

/// What an option may be on the wire, where a choice may be a flag.
fn allowed(field: &str, option: &OptionInfo) -> v1::sampler_option::Allowed {
    use v1::sampler_option::Allowed as Wire;
    match (&option.allowed, option.wire_value) {
        (_, Value::Flag(default)) => Wire::Flag(v1::FlagDefault { default }),
        (Allowed::Number(range), Value::Number(default)) => {
            Wire::Number(v1::NumberRange { min: *range.start(), max: *range.end(), default })
        }
        (Allowed::Count(range), Value::Count(default)) => {
            Wire::Count(v1::CountRange { min: *range.start(), max: *range.end(), default })
        }
        (_, default) => {
            let codes = codes(field, &option.field).iter();
            let choice =
                |(value, name): &(i32, &str)| v1::Choice { name: (*name).into(), value: *value };
            Wire::Choice(v1::Choices {
                choices: codes.map(choice).collect(),
                default: default.to_string(),
            })
        }
    }
}

/// Reads a count; 0 is the default.
fn count(number: u32) -> Value {
    if number == 0 { Value::Absent } else { Value::Count(number) }
}

/// Reads a value of an enum by name; 0 is the default.
fn choice(field: &str, code: i32, names: &[(i32, &'static str)]) -> Result<Value, Fault> {
    if code == 0 {
        return Ok(Value::Absent);
    }
    let named = names.iter().find(|(number, _)| *number == code);
    let unknown = || Fault::new(field, format!("{code} is no value that is known here"));
    named.map(|(_, name)| Value::Choice(name)).ok_or_else(unknown)
}

fn value(options: &[OptionInfo], field: &str) -> Option<Value> {
    options.iter().find(|option| option.field == field).map(|option| option.wire_value)
}

fn number(options: &[OptionInfo], field: &str) -> Option<f64> {
    match value(options, field)? {
        Value::Number(number) => Some(number),
        Value::Absent | Value::Count(_) | Value::Flag(_) | Value::Choice(_) => None,
    }
}

fn whole(options: &[OptionInfo], field: &str) -> Option<u32> {
    match value(options, field)? {
        Value::Count(count) => Some(count),
        Value::Absent | Value::Number(_) | Value::Flag(_) | Value::Choice(_) => None,
    }
}

fn flag(options: &[OptionInfo], field: &str) -> Option<bool> {
    match value(options, field)? {
        Value::Flag(flag) => Some(flag),
        Value::Absent | Value::Number(_) | Value::Count(_) | Value::Choice(_) => None,
    }
}

fn code_of(options: &[OptionInfo], field: &str, names: &[(i32, &str)]) -> Option<i32> {
    match value(options, field)? {
        Value::Absent => Some(0),
        Value::Choice(choice) => {
            names.iter().find(|(_, name)| *name == choice).map(|(code, _)| *code)
        }
        Value::Number(_) | Value::Count(_) | Value::Flag(_) => None,
    }
}
