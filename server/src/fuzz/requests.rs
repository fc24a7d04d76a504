//! Whole requests: measured, decoded, and checked on the embedded models.
//!
//! The first byte says which method it is and whether there is a deadline; the rest is the
//! message.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use super::messages::Messages;
use super::mutation::change_message;
use super::server::serving;
use super::{Memory, Outcome, Target, heap};
use crate::api::{Checked, MessageKind, Serving, check_message, compiled};
use crate::error::Error;

/// The bit of the first byte for `Compile`.
const COMPILE: u8 = 1;

/// The bit of the first byte for a deadline.
const DEADLINE: u8 = 2;

pub(super) struct Requests {
    serving: Serving,
    generate: Messages,
    compile: Messages,
}

impl Requests {
    pub(super) fn new() -> Self {
        let generate = Messages::new("ddpm.v1.GenerateRequest");
        Self { serving: serving(), generate, compile: Messages::new("ddpm.v1.CompileRequest") }
    }
}

impl Target for Requests {
    const NAME: &'static str = "requests";

    fn generate(&self, rng: &mut Rng) -> Vec<u8> {
        let compile = rng.u32(..8) == 0;
        let head = rng.u8(..) & !COMPILE | u8::from(compile);
        let messages = if compile { &self.compile } else { &self.generate };
        [vec![head], messages.write(rng)].concat()
    }

    fn mutate(&self, rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
        change_rest(rng, input, other);
    }

    fn run(&self, input: &[u8]) -> Outcome {
        let (head, message) = input.split_first().unwrap_or((&0, &[]));
        let kind = if head & COMPILE == 0 { MessageKind::Generate } else { MessageKind::Compile };
        let deadline = (head & DEADLINE != 0).then(|| Instant::now() + Duration::from_secs(60));
        let (checked, memory) = check(&self.serving, kind, message, deadline);
        let mut ways = ways(&checked);
        if let Ok(checked) = &checked {
            check_accepted(checked);
            ways.iter_mut().for_each(|way| way.push_str(&format!(" {kind:?}")));
        }
        Outcome { ways, memory }
    }
}

/// Changes a message behind one byte, and seldom that byte.
pub(super) fn change_rest(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    if input.is_empty() || rng.u32(..32) == 0 {
        input.splice(..input.len().min(1), [rng.u8(..4)]);
    }
    let mut message = input.split_off(1);
    change_message(rng, &mut message, other.get(1..).unwrap_or_default());
    input.extend(message);
}

/// Checks a message as the service does.
pub(super) fn check(
    serving: &Serving,
    kind: MessageKind,
    message: &[u8],
    deadline: Option<Instant>,
) -> (Result<Checked, Error>, Memory) {
    let mut reserved = message.len() as u64;
    let mut hold = |bytes: u64| {
        reserved += bytes;
        Ok(())
    };
    let (checked, taken) = heap::peak_of(|| {
        let message = Bytes::copy_from_slice(message);
        kind.guess(&message, serving.admission.limits().max_samples)?;
        let checked = check_message(serving, kind, message, deadline, &mut hold)?;
        if kind == MessageKind::Compile {
            let response = compiled(&checked);
            assert_eq!(response.program_digest, checked.request.program.digest());
        }
        Ok(checked)
    });
    (checked, Memory { reserved, taken })
}

/// The ways in which a check ends: each refused field with its reason, or what is accepted.
pub(super) fn ways(checked: &Result<Checked, Error>) -> Vec<String> {
    match checked {
        Ok(checked) => {
            let request = &checked.request;
            let sampler = checked.receipt.sampler.as_ref().and_then(|one| one.kind.as_ref());
            let sampler = format!("{sampler:?}");
            let name: String = sampler.chars().skip(5).take_while(|c| *c != '(').collect();
            let grid = checked.receipt.grid;
            let known = request.known.is_some();
            let frames = checked.receipt.interpolation_frames.min(1);
            let log = request.program.rows().len().ilog2() / 4;
            vec![
                format!("accepted {} {name}", request.model),
                format!("accepted {} grid {grid}", request.model),
                format!("accepted rows {log} known {known} frames {frames}"),
                format!("accepted {:?}", request.priority),
            ]
        }
        Err(Error::Invalid(violations)) => violations
            .iter()
            .map(|violation| without_numbers(&violation.field, &violation.description))
            .collect(),
        Err(Error::Undecodable(reason)) => vec![without_numbers("undecodable", reason)],
        Err(other) => vec![other.reason().into()],
    }
}

/// The start of a refusal, without what differs from input to input.
fn without_numbers(field: &str, reason: &str) -> String {
    let words = reason.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(32);
    field.chars().filter(|c| !c.is_ascii_digit()).chain(": ".chars()).chain(words).collect()
}

/// Checks that what was accepted keeps to the limits, and can be told apart.
fn check_accepted(checked: &Checked) {
    let request = &checked.request;
    let count = request.indices.len();
    assert!((1..=10_000).contains(&count), "{count} samples");
    assert!(request.evals() <= 10_000_000, "{} evals", request.evals());
    assert_eq!(request.program_digest, request.program.digest());
    for position in [0, count / 2, count - 1] {
        let index = request.indices.at(position);
        assert!(request.indices.contains(index), "index {index}");
        let _ = (request.class_label(index), request.initial.state(index));
    }
}

#[cfg(test)]
mod tests {
    use ddpm_proto::v1;
    use prost::Message;

    use super::super::runner::BESIDE;
    use super::*;

    #[test]
    fn memory_is_reserved_for_as_many_index_ranges_as_may_come() {
        let range = v1::IndexRange { first: 2, count: 9 };
        let ranges = v1::IndexRanges { ranges: vec![range; 100_000] };
        let message = v1::GenerateRequest {
            model: "glyphs".to_owned(),
            samples: Some(v1::generate_request::Samples::IndexRanges(ranges)),
            ..Default::default()
        };
        let Outcome { memory, .. } =
            Requests::new().run(&[vec![0], message.encode_to_vec()].concat());
        assert!(memory.taken <= memory.reserved + BESIDE, "{memory:?}");
    }
}
