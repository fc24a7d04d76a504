//! What is measured is what decoding takes.

use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::{encode_key, encode_varint};

use super::shapes::{COMPILE_REQUEST, GENERATE_REQUEST};
use super::*;
use crate::v1::initial::Kind::{Images, Interpolation, States};
use crate::v1::sampler::Kind::Program;
use crate::v1::{self, CompileRequest, GenerateRequest, IndexRange, IndexRanges};

const MAX: u64 = 100_001;

fn samples(ranges: usize) -> Option<v1::generate_request::Samples> {
    let ranges = vec![IndexRange { first: 0, count: 0 }; ranges];
    Some(v1::generate_request::Samples::IndexRanges(IndexRanges { ranges }))
}

fn held<T>(list: &Vec<T>) -> u64 {
    (list.capacity() * size_of::<T>()) as u64
}

fn text(text: &String) -> u64 {
    text.capacity() as u64
}

/// The bytes that a decoded request holds on the heap, apart from parts of the message itself.
fn heap(request: &GenerateRequest) -> u64 {
    use v1::generate_request::Samples;
    let mut bytes = text(&request.model) + text(&request.version) + text(&request.request_id);
    bytes += held(&request.class_labels);
    if let Some(Samples::IndexRanges(ranges)) = &request.samples {
        bytes += held(&ranges.ranges);
    }
    if let Some(preview) = &request.preview {
        bytes += held(&preview.indices);
    }
    if let Some(expect) = &request.expect {
        bytes += text(&expect.model_digest) + text(&expect.program_digest);
        bytes += text(&expect.fingerprint);
    }
    if let Some(options) = &request.grid_options {
        bytes += held(&options.sections) + held(&options.timesteps) + held(&options.sigmas);
    }
    bytes += match request.initial.as_ref().and_then(|initial| initial.kind.as_ref()) {
        Some(States(states)) => held(&states.states),
        Some(Images(images)) => held(&images.images),
        Some(Interpolation(_)) | None => 0,
    };
    for row in rows(request) {
        bytes += [&row.y, &row.u].into_iter().flatten().map(|mix| held(&mix.h)).sum::<u64>();
    }
    match request.sampler.as_ref().and_then(|sampler| sampler.kind.as_ref()) {
        Some(Program(program)) => bytes + held(&program.rows),
        _ => bytes,
    }
}

fn rows(request: &GenerateRequest) -> &[v1::Row] {
    match request.sampler.as_ref().and_then(|sampler| sampler.kind.as_ref()) {
        Some(Program(program)) => &program.rows,
        _ => &[],
    }
}

/// The lists of a request, by path.
fn lists(request: &GenerateRequest) -> Vec<(&'static str, usize)> {
    use v1::generate_request::Samples;
    let ranges = match &request.samples {
        Some(Samples::IndexRanges(ranges)) => ranges.ranges.len(),
        _ => 0,
    };
    let options = request.grid_options.clone().unwrap_or_default();
    let (states, images) = match request.initial.as_ref().and_then(|one| one.kind.as_ref()) {
        Some(States(states)) => (states.states.len(), 0),
        Some(Images(images)) => (0, images.images.len()),
        _ => (0, 0),
    };
    let mixes = rows(request).iter().filter_map(|row| row.u.as_ref());
    vec![
        ("index_ranges.ranges", ranges),
        ("class_labels", request.class_labels.len()),
        ("sampler.program.rows", rows(request).len()),
        ("sampler.program.rows.u.h", mixes.map(|mix| mix.h.len()).sum()),
        ("preview.indices", request.preview.as_ref().map_or(0, |one| one.indices.len())),
        ("grid_options.sections", options.sections.len()),
        ("grid_options.timesteps", options.timesteps.len()),
        ("grid_options.sigmas", options.sigmas.len()),
        ("initial.states.states", states),
        ("initial.images.images", images),
    ]
}

/// Writes a message of a shape, with fields in any order and as often as `choices` say.
fn write(shape: &Shape, choices: &mut impl Iterator<Item = u8>, depth: usize) -> Vec<u8> {
    let mut next = || choices.next().unwrap_or(0);
    let count = next() % if depth == 0 { 16 } else { 6 };
    let mut out = Vec::new();
    for _ in 0..count {
        let Some(at) = choices.next() else { break };
        let Some(field) = shape.fields.get(usize::from(at) % shape.fields.len().max(1)) else {
            break;
        };
        let choice = choices.next().unwrap_or(0);
        let content: Vec<u8> = match field.kind {
            Kind::Varint if field.element.is_some() && choice < 128 => vec![choice; choice.into()],
            Kind::Fixed64 if field.element.is_some() && choice < 128 => {
                vec![1; choice as usize * 8]
            }
            Kind::Varint => {
                encode_key(field.number, WireType::Varint, &mut out);
                encode_varint(u64::from(choice % 2), &mut out);
                continue;
            }
            Kind::Fixed64 => {
                encode_key(field.number, WireType::SixtyFourBit, &mut out);
                out.extend([choice; 8]);
                continue;
            }
            Kind::Fixed32 => {
                encode_key(field.number, WireType::ThirtyTwoBit, &mut out);
                out.extend([choice; 4]);
                continue;
            }
            Kind::Text => vec![b'a'; choice as usize % 40],
            Kind::Bytes => vec![],
            Kind::Message(inner) => write(inner, choices, depth + 1),
        };
        encode_key(field.number, WireType::LengthDelimited, &mut out);
        encode_varint(content.len() as u64, &mut out);
        out.extend(content);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoding_takes_no_more_than_was_measured(
        choices in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let wire = Bytes::from(write(&GENERATE_REQUEST, &mut choices.into_iter(), 0));
        let measured = measure(&GENERATE_REQUEST, &wire, MAX).unwrap();
        let request = GenerateRequest::decode(wire).unwrap();
        prop_assert!(measured.bytes >= heap(&request), "{measured:?}\n{request:?}");
    }

    #[test]
    fn elements_are_those_of_the_message(choices in prop::collection::vec(any::<u8>(), 0..400)) {
        let wire = Bytes::from(write(&GENERATE_REQUEST, &mut choices.into_iter(), 0));
        let request = GenerateRequest::decode(wire).unwrap();
        let wire = request.encode_to_vec();
        let measured = measure(&GENERATE_REQUEST, &wire, MAX).unwrap();
        for (path, len) in lists(&request) {
            prop_assert_eq!(measured.elements(&GENERATE_REQUEST, path), len as u64, "{}", path);
        }
    }

    #[test]
    fn only_what_cannot_be_decoded_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let decoded = GenerateRequest::decode(&bytes[..]);
        if let Err(refusal) = measure(&GENERATE_REQUEST, &bytes, MAX) {
            prop_assert!(decoded.is_err(), "{refusal} but {decoded:?}");
        }
    }

    #[test]
    fn a_message_with_a_wrong_byte_is_refused_only_if_it_cannot_be_decoded(
        choices in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut wire = write(&GENERATE_REQUEST, &mut choices.into_iter(), 0);
        if !wire.is_empty() {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let wire = Bytes::from(wire);
        let decoded = GenerateRequest::decode(wire.clone());
        match (measure(&GENERATE_REQUEST, &wire, MAX), decoded) {
            (Ok(measured), Ok(request)) => prop_assert!(measured.bytes >= heap(&request)),
            (Err(refusal), Ok(request)) => prop_assert!(false, "{refusal} but {request:?}"),
            (_, Err(_)) => {}
        }
    }
}

#[test]
fn a_list_may_be_full_and_no_longer() {
    let of = |ranges| {
        GenerateRequest { samples: samples(ranges), ..GenerateRequest::default() }.encode_to_vec()
    };
    let full = measure(&GENERATE_REQUEST, &of(1000), 1000).unwrap();
    assert_eq!(full.elements(&GENERATE_REQUEST, "index_ranges.ranges"), 1000);
    assert!(full.bytes >= 1000 * size_of::<IndexRange>() as u64);
    let refused = measure(&GENERATE_REQUEST, &of(1001), 1000).unwrap_err();
    let field = "index_ranges.ranges".into();
    assert_eq!(refused, Refusal::TooMany { field, max: 1000 });
}

#[test]
fn numbers_are_counted_packed_and_one_by_one() {
    let packed = GenerateRequest { class_labels: vec![300; 5], ..Default::default() };
    let mut wire = packed.encode_to_vec();
    // Field 6 as a number: class_labels, not packed.
    wire.extend([0x30, 0x01].repeat(3));
    let measured = measure(&GENERATE_REQUEST, &wire, 8).unwrap();
    assert_eq!(measured.elements(&GENERATE_REQUEST, "class_labels"), 8);
    assert!(measure(&GENERATE_REQUEST, &wire, 7).is_err());
}

#[test]
fn lists_within_lists_are_counted_in_total() {
    let mix = v1::Mix { h: vec![1.0; 3], ..Default::default() };
    let row = v1::Row { u: Some(mix), ..Default::default() };
    let program = crate::program::Program { rows: vec![row; 10] };
    let sampler = Some(v1::Sampler { kind: Some(Program(program)) });
    let request = Some(GenerateRequest { sampler, ..Default::default() });
    let wire = CompileRequest { request }.encode_to_vec();
    let path = "request.sampler.program.rows.u.h";
    let measured = measure(&COMPILE_REQUEST, &wire, 10).unwrap();
    assert_eq!(measured.elements(&COMPILE_REQUEST, path), 30);
    let refused = measure(&COMPILE_REQUEST, &wire, 7).unwrap_err().to_string();
    assert!(refused.starts_with("request.sampler.program.rows holds more than 7"), "{refused}");
}

#[test]
fn sixteen_mebibytes_of_empty_ranges_are_refused_without_being_decoded() {
    let ranges = [0x0a, 0x00].repeat(8 << 20);
    let mut wire = Vec::new();
    encode_key(4, WireType::LengthDelimited, &mut wire);
    encode_varint(ranges.len() as u64, &mut wire);
    wire.extend(ranges);
    assert!(matches!(measure(&GENERATE_REQUEST, &wire, MAX), Err(Refusal::TooMany { .. })));
}

#[test]
fn groups_are_read_over_to_the_depth_that_prost_allows() {
    // Field 99 as nested groups.
    let nested = |depth: usize| {
        let mut wire = Vec::new();
        (0..depth).for_each(|_| encode_key(99, WireType::StartGroup, &mut wire));
        (0..depth).for_each(|_| encode_key(99, WireType::EndGroup, &mut wire));
        wire
    };
    for depth in [1, 99, 100, 101, 102, 100_000] {
        let wire = nested(depth);
        let decoded = GenerateRequest::decode(&wire[..]).is_ok();
        assert_eq!(measure(&GENERATE_REQUEST, &wire, MAX).is_ok(), decoded, "{depth}");
    }
}
