//! Bytes from a connection: the body of a call in pieces, compressed or not, and frames of HTTP/2.
//!
//! The first byte says which; the second how the bytes are cut, and how much a message may become.
//! What is collected is measured and decoded: what was measured must be enough.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddpm_proto::measure::shapes::{COMPILE_REQUEST, GENERATE_REQUEST};
use ddpm_proto::measure::{Refusal, Shape, measure};
use ddpm_proto::v1::{CompileRequest, GenerateRequest};
use fastrand::Rng;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message;

use super::messages::Messages;
use super::mutation::{change_bytes, change_message};
use super::{Memory, Outcome, Target, heap};
use crate::admission::tests::limits;
use crate::admission::{Admission, Limits};
use crate::cost::Costs;
use crate::error::Error;
use crate::transport::{FrameWatch, collect_pieces};

/// Bytes before the body.
const HEAD: usize = 2;

/// The names of encodings, by the first byte.
const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "br"];

/// The first byte of frames; less for a body.
const FRAMES: u8 = 4;

/// Most bytes of a message, by the second byte.
const MAX: [usize; 4] = [100, 4 << 10, 256 << 10, 4 << 20];

/// Most elements of a list.
const MAX_ELEMENTS: u64 = 10_000;

pub(super) struct Wire {
    messages: Messages,
    runtime: tokio::runtime::Runtime,
    admission: Admission,
}

impl Wire {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let limits = Limits { max_held_bytes: 1 << 20, ..limits() };
        Self {
            messages: Messages::new("ddpm.v1.GenerateRequest"),
            runtime: runtime.expect("a runtime can be made"),
            admission: Admission::new(limits, Costs::new(vec![])),
        }
    }

    fn body(&self, encoding: &str, cut: u8, body: &[u8]) -> Outcome {
        let max = MAX[usize::from(cut & 3)];
        let pieces: Vec<Bytes> =
            body.chunks(piece(cut, body.len())).map(Bytes::copy_from_slice).collect();
        let collected = collect_pieces(&self.admission, encoding, pieces, max);
        let (collected, taken) = heap::peak_of(|| self.runtime.block_on(collected));
        // The body in a list that doubles, and what it may become.
        let mut reserved = 2 * body.len() as u64 + max as u64;
        let ways = match collected {
            Err(Error::Undecodable(reason)) => vec![format!("{encoding}: {}", letters(&reason))],
            Err(error) => vec![format!("{encoding}: {}", error.reason())],
            Ok(message) => {
                assert!(message.len() <= max, "{} of {max} bytes", message.len());
                reserved = 2 * (body.len() + message.len()) as u64;
                let log = message.len().checked_ilog2().unwrap_or(0) / 8;
                vec![
                    format!("{encoding}: {log}"),
                    self.decoded::<GenerateRequest>(&GENERATE_REQUEST, &message),
                    self.decoded::<CompileRequest>(&COMPILE_REQUEST, &message),
                ]
            }
        };
        assert_eq!(self.admission.counts().bytes, 0, "all memory is given back");
        Outcome { ways, memory: Memory { reserved, taken } }
    }

    /// Measures and decodes a message; returns how that ends.
    fn decoded<M: Message + Default>(&self, shape: &'static Shape, message: &Bytes) -> String {
        let measured = measure(shape, message, MAX_ELEMENTS);
        if let Err(Refusal::TooMany { field, .. }) = measured {
            return format!("too many {field}");
        }
        let (decoded, taken) = heap::peak_of(|| M::decode(message.clone()));
        match (measured, decoded) {
            (Ok(measured), decoded) => {
                // Decoding sees more faults, which have messages.
                let most = measured.bytes + if decoded.is_ok() { 64 } else { 1024 };
                assert!(taken <= most, "{taken} of {} bytes", measured.bytes);
                decoded.map_or_else(|error| without_path(&error.to_string()), |_| "decoded".into())
            }
            (Err(refusal), decoded) => {
                assert!(decoded.is_err(), "measured as {refusal}, yet decoded");
                without_path(&refusal.to_string())
            }
        }
    }
}

/// The fault of decoding without the field that it is in.
fn without_path(reason: &str) -> String {
    letters(reason.rsplit(": ").next().unwrap_or_default())
}

/// A reason without what differs from input to input.
fn letters(reason: &str) -> String {
    reason.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(48).collect()
}

/// The length of the pieces in which so many bytes come.
fn piece(cut: u8, len: usize) -> usize {
    [1, 7, 100, 1000, len.max(1)][usize::from(cut / 4) % 5].max(len / 2000)
}

/// Frames cost the same and end in the same state however they are cut.
fn frames(cut: u8, bytes: &[u8]) -> Outcome {
    let start = tokio::time::Instant::from_std(Instant::now());
    let mut whole = FrameWatch::new();
    let price = whole.read(bytes, start);
    let mut parts = FrameWatch::new();
    let (mut sum, mut now) = (0.0, start);
    for part in bytes.chunks(piece(cut, bytes.len())) {
        sum += parts.read(part, now);
        assert!(parts.incomplete_since().is_none_or(|since| since <= now));
        now += Duration::from_millis(1);
    }
    assert!(price.is_finite() && price >= 0.0);
    assert!((price - sum).abs() <= 1e-9 * price.max(1.0), "{price} or {sum}");
    assert_eq!(whole.greeted(), parts.greeted());
    assert_eq!(whole.incomplete_since().is_some(), parts.incomplete_since().is_some());
    // Each head is nine bytes, and a block of headers costs by its announced bytes.
    let most = bytes.len() as f64 / 9.0 * (1.0 + f64::from(1 << 24) / 1280.0);
    assert!(price <= most, "{price} for {} bytes", bytes.len());
    let (greeted, waits) = (whole.greeted(), whole.incomplete_since().is_some());
    let log = (price as u64).checked_ilog2();
    Outcome { ways: vec![format!("frames: {greeted} {waits} {log:?}")], memory: Memory::default() }
}

impl Target for Wire {
    const NAME: &'static str = "wire";

    fn generate(&self, rng: &mut Rng) -> Vec<u8> {
        let kind = rng.u8(..FRAMES + 2);
        let bytes = if kind >= FRAMES { some_frames(rng) } else { self.some_body(rng, kind) };
        [vec![kind, rng.u8(..)], bytes].concat()
    }

    fn mutate(&self, rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
        input.resize(input.len().max(HEAD), 0);
        if rng.u32(..8) == 0 {
            input[rng.usize(..HEAD)] = rng.u8(..);
        }
        let mut bytes = input.split_off(HEAD);
        let other = other.get(HEAD..).unwrap_or_default();
        let compressed = [1, 2].contains(&input[0]);
        if input[0] < FRAMES && bytes.len() > 5 && rng.u32(..8) > 0 {
            // The prefix fits again.
            let mut content = bytes.split_off(5);
            match compressed {
                true => change_bytes(rng, &mut content, other),
                false => change_message(rng, &mut content, other.get(5..).unwrap_or_default()),
            }
            bytes = prefixed(bytes[0], &content);
        } else {
            change_bytes(rng, &mut bytes, other);
        }
        input.extend(bytes);
    }

    fn run(&self, input: &[u8]) -> Outcome {
        let (&[kind, cut], bytes) = input.split_first_chunk().unwrap_or((&[0, 0], &[]));
        match ENCODINGS.get(usize::from(kind)) {
            Some(encoding) => self.body(encoding, cut, bytes),
            None => frames(cut, bytes),
        }
    }
}

impl Wire {
    /// A message, or many bytes alike, as a body.
    fn some_body(&self, rng: &mut Rng, kind: u8) -> Vec<u8> {
        let content = match rng.u32(..8) {
            0 => vec![rng.u8(..); 1 << rng.u32(..23)],
            1 => [0x22, 0x02, 0x0a, 0x00].repeat(rng.usize(..20_000)),
            _ => self.messages.write(rng),
        };
        let level = Compression::new(rng.u32(..10));
        let content = match kind {
            1 => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(&content).expect("a vector takes all");
                encoder.finish().expect("a vector takes all")
            }
            2 => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&content).expect("a vector takes all");
                encoder.finish().expect("a vector takes all")
            }
            _ => content,
        };
        let usual = rng.u32(..12) > 0;
        prefixed(if usual { u8::from(kind > 0) } else { rng.u8(..4) }, &content)
    }
}

fn prefixed(flag: u8, content: &[u8]) -> Vec<u8> {
    [&[flag][..], &(content.len() as u32).to_be_bytes(), content].concat()
}

/// A preface and frames, mostly.
fn some_frames(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for _ in 0..rng.u32(..40) {
        let len = if rng.u32(..10) == 0 { rng.u32(..1 << 24) } else { rng.u32(..300) };
        bytes.extend(&len.to_be_bytes()[1..]);
        bytes.extend([rng.u8(..12), rng.u8(..), 0, 0, 0, rng.u8(..)]);
        bytes.extend(vec![rng.u8(..); len.min(2000) as usize]);
    }
    bytes
}
