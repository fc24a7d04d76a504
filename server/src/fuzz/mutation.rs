//! Small changes of bytes, and of messages whose lengths then fit again.

use std::ops::Range;

use fastrand::Rng;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

/// Deepest message within a message that is changed.
const MAX_DEPTH: u32 = 6;

/// A number that is often near a limit.
pub(super) fn integer(rng: &mut Rng) -> u64 {
    match rng.u32(..12) {
        0..=3 => rng.u64(..5),
        4..=6 => rng.u64(..100),
        7 => rng.u64(..5000),
        8 => 1 << rng.u32(..64),
        9 => (1_u64 << rng.u32(..64)) - 1,
        10 => [u64::MAX, u64::from(u32::MAX), i32::MAX as u64, 99_999, 100_000, 100_001]
            [rng.usize(..6)],
        _ => rng.u64(..),
    }
}

/// A number that is often near a limit.
pub(super) fn number(rng: &mut Rng) -> f64 {
    match rng.u32(..16) {
        0..=2 => 0.0,
        3..=4 => 1.0,
        5..=8 => rng.f64(),
        9 => rng.f64() * 1000.0,
        10 => -rng.f64(),
        11 => [1e6, -1e6, 1e6 + 1.0, 1e-300, -0.0, 1e300][rng.usize(..6)],
        12 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324][rng.usize(..5)],
        13 => f64::from(rng.u32(..1000)),
        14 => 10_f64.powf(rng.f64() * 12.0 - 6.0),
        _ => f64::from_bits(rng.u64(..)),
    }
}

/// Changes, removes, repeats or adds a few bytes.
pub(super) fn change_bytes(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let part = |rng: &mut Rng, bytes: &[u8], most: usize| {
        let from = rng.usize(..=bytes.len());
        from..from + rng.usize(..=most.min(bytes.len() - from))
    };
    let at = rng.usize(..=bytes.len());
    match rng.u32(..7) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.u32(..8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 1, 0x7f, 0x80, 0xff, rng.u8(..)][rng.usize(..6)];
            }
        }
        3 => {
            bytes.drain(part(rng, bytes, 64));
        }
        4 => {
            let copied = bytes[part(rng, bytes, 64)].to_vec();
            bytes.splice(at..at, copied);
        }
        5 => {
            let copied = other[part(rng, other, 256)].to_vec();
            bytes.splice(at..at, copied);
        }
        _ => bytes.truncate(at),
    }
}

/// A field on the wire: its number, its type, and where its value is.
type Place = (u32, WireType, Range<usize>);

/// Finds the fields of a message; `None` if the bytes are none.
fn fields(bytes: &[u8]) -> Option<Vec<Place>> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest).ok()?;
        let mut after = rest;
        skip_field(wire_type, number, &mut after, DecodeContext::default()).ok()?;
        if wire_type == WireType::LengthDelimited {
            decode_varint(&mut rest).ok()?;
        }
        found.push((number, wire_type, bytes.len() - rest.len()..bytes.len() - after.len()));
        rest = after;
    }
    Some(found)
}

/// Writes a field.
fn write(number: u32, wire_type: WireType, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, wire_type, out);
    if wire_type == WireType::LengthDelimited {
        encode_varint(value.len() as u64, out);
    }
    out.extend(value);
}

/// Changes one field of a message, or of one within it; or bytes, if they are no message.
///
/// * `other`: a message to take fields from.
pub(super) fn change_message(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    *bytes = changed(rng, bytes, other, 0);
}

fn changed(rng: &mut Rng, bytes: &[u8], other: &[u8], depth: u32) -> Vec<u8> {
    let places = fields(bytes).filter(|found| !found.is_empty() && depth < MAX_DEPTH);
    let Some(places) = places.filter(|_| rng.u32(..16) > 0) else {
        let mut bytes = bytes.to_vec();
        change_bytes(rng, &mut bytes, other);
        return bytes;
    };
    let chosen = rng.usize(..places.len());
    let mut out = Vec::new();
    let action = rng.u32(..8);
    for (at, (number, wire_type, place)) in places.into_iter().enumerate() {
        let value = &bytes[place];
        if at != chosen {
            write(number, wire_type, value, &mut out);
            continue;
        }
        match action {
            0 => {}
            1 => {
                // Twice, or often.
                let times = if rng.u32(..8) == 0 { rng.usize(..2000) } else { 2 };
                (0..times).for_each(|_| write(number, wire_type, value, &mut out));
            }
            2 => {
                write(number, wire_type, value, &mut out);
                let others = fields(other).unwrap_or_default();
                if let Some((number, wire_type, place)) = rng.choice(others) {
                    write(number, wire_type, &other[place], &mut out);
                }
            }
            _ => write(number, wire_type, &value_like(rng, wire_type, value, depth), &mut out),
        }
    }
    out
}

/// Another value of the same type.
fn value_like(rng: &mut Rng, wire_type: WireType, value: &[u8], depth: u32) -> Vec<u8> {
    match wire_type {
        WireType::Varint => {
            let mut out = Vec::new();
            encode_varint(integer(rng), &mut out);
            out
        }
        WireType::SixtyFourBit => number(rng).to_le_bytes().into(),
        WireType::ThirtyTwoBit => rng.u32(..).to_le_bytes().into(),
        WireType::LengthDelimited => changed(rng, value, value, depth + 1),
        WireType::StartGroup | WireType::EndGroup => value.into(),
    }
}
