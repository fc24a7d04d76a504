//! Messages of the contract with random fields, nearly as a client would send them.

use ddpm_proto::FILE_DESCRIPTOR_SET;
use fastrand::Rng;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::mutation::{integer, number};
use super::{png_file, rows};

/// Elements of samples and pixels of masks of the embedded models, and numbers beside them.
const ELEMENTS: [usize; 7] = [2, 256, 768, 0, 1, 767, 1024];

/// Writes messages of one type.
pub(super) struct Messages(MessageDescriptor);

impl Messages {
    /// * `name`: of the type, with its package.
    pub(super) fn new(name: &str) -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("they are descriptors");
        Self(pool.get_message_by_name(name).expect("the contract has it"))
    }

    pub(super) fn write(&self, rng: &mut Rng) -> Vec<u8> {
        message(rng, &self.0)
    }
}

fn message(rng: &mut Rng, shape: &MessageDescriptor) -> Vec<u8> {
    if shape.full_name() == "ddpm.v1.Program" {
        return rows::program(rng);
    }
    let mut out = Vec::new();
    let often = [0.03, 0.1, 0.5][rng.usize(..3)];
    let chosen: Vec<FieldDescriptor> =
        shape.oneofs().filter_map(|oneof| rng.choice(oneof.fields())).collect();
    for shape in shape.fields() {
        let is_left = shape.containing_oneof().is_some() && !chosen.contains(&shape);
        if !is_left && rng.f64() < likelihood(&shape, often) {
            field(rng, &shape, &mut out);
        }
    }
    out
}

/// How often a field is there. What is required nearly always is.
fn likelihood(field: &FieldDescriptor, often: f64) -> f64 {
    match field.full_name() {
        "ddpm.v1.GenerateRequest.model" => 0.99,
        "ddpm.v1.GenerateRequest.version" | "ddpm.v1.GenerateRequest.expect" => 0.03,
        "ddpm.v1.GenerateRequest.sample_count"
        | "ddpm.v1.GenerateRequest.index_ranges"
        | "ddpm.v1.Sampler.program" => 0.95,
        _ => match field.parent_message().full_name() {
            "ddpm.v1.Sampler" | "ddpm.v1.Tensor" | "ddpm.v1.Inpaint" | "ddpm.v1.Initial" => 0.95,
            "ddpm.v1.IndexRange" | "ddpm.v1.IndexRanges" | "ddpm.v1.Interpolation" => 0.9,
            "ddpm.v1.InitialStates" | "ddpm.v1.InitialImages" => 0.9,
            _ => often,
        },
    }
}

/// Writes a field, or the elements of a list.
fn field(rng: &mut Rng, field: &FieldDescriptor, out: &mut Vec<u8>) {
    if !field.is_list() {
        key(field, wire_type(&field.kind()), out);
        return value(rng, field, out);
    }
    let count = match rng.u32(..200) {
        0 => rng.usize(..20_000),
        1..=10 => rng.usize(..300),
        _ => rng.usize(..5),
    };
    if field.is_packed() && rng.u32(..4) > 0 {
        let mut packed = Vec::new();
        (0..count).for_each(|_| value(rng, field, &mut packed));
        key(field, WireType::LengthDelimited, out);
        encode_varint(packed.len() as u64, out);
        out.extend(packed);
        return;
    }
    let mut first = Vec::new();
    value(rng, field, &mut first);
    for _ in 0..count {
        key(field, wire_type(&field.kind()), out);
        // Many elements alike take less time to make.
        if count > 100 { out.extend(&first) } else { value(rng, field, out) }
    }
}

fn key(field: &FieldDescriptor, wire_type: WireType, out: &mut Vec<u8>) {
    encode_key(field.number(), wire_type, out);
}

fn wire_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
        _ => WireType::Varint,
    }
}

/// Writes the value of a field, or of one element.
fn value(rng: &mut Rng, field: &FieldDescriptor, out: &mut Vec<u8>) {
    let mut delimited = |content: &[u8]| {
        encode_varint(content.len() as u64, out);
        out.extend(content);
    };
    match field.kind() {
        Kind::Message(shape) => delimited(&message(rng, &shape)),
        Kind::String => delimited(text(rng, field).as_bytes()),
        Kind::Bytes => delimited(&data(rng)),
        Kind::Double => out.extend(number(rng).to_le_bytes()),
        Kind::Enum(values) => encode_varint(code(rng, &values), out),
        Kind::Bool => encode_varint(rng.u64(..2), out),
        _ => encode_varint(count(rng, field), out),
    }
}

fn text(rng: &mut Rng, field: &FieldDescriptor) -> String {
    match field.full_name() {
        "ddpm.v1.GenerateRequest.model" if rng.u32(..50) > 0 => {
            ["toy", "glyphs"][rng.usize(..2)].into()
        }
        _ => "é0a".repeat(rng.usize(..60)),
    }
}

fn code(rng: &mut Rng, values: &EnumDescriptor) -> u64 {
    match rng.u32(..40) {
        0 => integer(rng),
        _ => rng.choice(values.values()).map_or(0, |value| value.number() as u64),
    }
}

/// A number of something.
fn count(rng: &mut Rng, field: &FieldDescriptor) -> u64 {
    let usual = rng.u32(..8) > 0;
    match field.full_name() {
        "ddpm.v1.GenerateRequest.num_steps" if usual => rng.u64(1..1001),
        "ddpm.v1.GenerateRequest.sample_count" | "ddpm.v1.IndexRange.count" if usual => {
            rng.u64(1..10)
        }
        "ddpm.v1.GenerateRequest.class_labels" if usual => rng.u64(..12),
        _ => integer(rng),
    }
}

/// Elements, pixels, or a file.
fn data(rng: &mut Rng) -> Vec<u8> {
    if rng.u32(..3) == 0 {
        return png_file::write(rng);
    }
    let count = ELEMENTS[rng.usize(..ELEMENTS.len())];
    if rng.bool() {
        let element = if rng.u32(..4) > 0 { rng.f32() } else { number(rng) as f32 };
        return element.to_le_bytes().repeat(count);
    }
    vec![[0, 1, 255, rng.u8(..)][rng.usize(..4)]; count]
}
