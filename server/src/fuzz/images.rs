//! Pictures, masks and states in a request, read as the service reads them; and samples, encoded
//! and read back.
//!
//! The first byte says where the data stands, the second its format; the rest is the data.

use ddpm_proto::v1;
use fastrand::Rng;
use prost::Message;

use super::requests::{check, ways};
use super::server::serving;
use super::{Outcome, Target, mutation, png_file};
use crate::api::{MessageKind, Serving};
use crate::frames::{Encoder, Encoding};

/// Bytes before the data.
const HEAD: usize = 2;

/// Elements and pixels of a sample of the glyphs.
const ELEMENTS: usize = 3 * 16 * 16;

pub(super) struct Images(Serving);

impl Images {
    pub(super) fn new() -> Self {
        Self(serving())
    }

    /// Encodes floats as samples of the glyphs, and reads the pictures again.
    fn encode(&self, data: &[u8]) {
        let (floats, _) = data.as_chunks::<4>();
        let mut sample: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        sample.resize(ELEMENTS, 0.0);
        let glyphs = self.0.registry.find("glyphs", "", "").expect("it is embedded");
        let encode = |encoding| {
            let encoder = Encoder::new(encoding, &glyphs.manifest).expect("they are pictures");
            encoder.encode(&sample).expect("any numbers can be encoded")
        };
        let (raw, file) = (encode(Encoding::RawU8), encode(Encoding::Png));
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut pixels = vec![0; ELEMENTS];
        reader.next_frame(&mut pixels).expect("a whole PNG");
        assert_eq!(pixels, raw);
        assert_eq!(encode(Encoding::RawF32).len(), 4 * ELEMENTS);
    }
}

/// A request with the data in one place.
fn request(place: u8, format: u8, data: &[u8]) -> v1::GenerateRequest {
    use v1::initial::Kind;
    let tensor = |format: u8, data: &[u8]| v1::Tensor {
        format: i32::from(format),
        data: data.to_vec().into(),
    };
    let given = tensor(format, data);
    let right = tensor(v1::Format::RawU8 as u8, &[200; ELEMENTS]);
    let right_state = || tensor(v1::Format::RawF32 as u8, &[0; 4 * ELEMENTS]);
    let initial = |kind| Some(v1::Initial { kind: Some(kind) });
    let images = |images| Kind::Images(v1::InitialImages { images, strength: Some(0.5) });
    let method = Some(v1::inpaint::Method::ReplaceX0(v1::ReplaceX0 {}));
    let inpaint = |image, mask| Some(v1::Inpaint { image: Some(image), mask: Some(mask), method });
    let mut request = v1::GenerateRequest {
        model: if place & 8 == 0 { "glyphs" } else { "toy" }.into(),
        samples: Some(v1::generate_request::Samples::SampleCount(1)),
        num_steps: Some(2),
        ..Default::default()
    };
    match place & 7 {
        0 | 1 => request.initial = initial(images(vec![given])),
        2 => request.initial = initial(images(vec![given; 16])),
        3 => request.initial = initial(Kind::States(v1::InitialStates { states: vec![given] })),
        4 => {
            let (from, to) = (Some(given), Some(right_state()));
            request.initial =
                initial(Kind::Interpolation(v1::Interpolation { from, to, frames: 3 }));
        }
        5 => request.inpaint = inpaint(given, right),
        _ => request.inpaint = inpaint(right, given),
    }
    request
}

impl Target for Images {
    const NAME: &'static str = "images";

    fn generate(&self, rng: &mut Rng) -> Vec<u8> {
        let place = if rng.u32(..16) == 0 { rng.u8(..) } else { rng.u8(..8) };
        let png = rng.u32(..4) > 0;
        let format = if png { v1::Format::Png as u8 } else { rng.u8(..5) };
        let data = match png {
            true => png_file::write(rng),
            false => {
                let byte = [0, 1, 63, 255, rng.u8(..)][rng.usize(..5)];
                vec![byte; [8, 256, 768, 1024, 3072, rng.usize(..4000)][rng.usize(..6)]]
            }
        };
        [vec![place, format], data].concat()
    }

    fn mutate(&self, rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
        input.resize(input.len().max(HEAD), 0);
        if rng.u32(..24) == 0 {
            input[rng.usize(..HEAD)] = rng.u8(..16);
        }
        let mut data = input.split_off(HEAD);
        let other = other.get(HEAD..).unwrap_or_default();
        if input[1] == v1::Format::Png as u8 {
            png_file::change(rng, &mut data, other);
        } else {
            mutation::change_bytes(rng, &mut data, other);
        }
        input.extend(data);
    }

    fn run(&self, input: &[u8]) -> Outcome {
        let (&[place, format], data) = input.split_first_chunk().unwrap_or((&[0, 0], &[]));
        let request = request(place, format, data).encode_to_vec();
        let (checked, memory) = check(&self.0, MessageKind::Generate, &request, None);
        self.encode(data);
        let ways = match checked {
            Ok(_) => vec![format!("accepted in {} as {format}", place & 7)],
            Err(_) => ways(&checked),
        };
        Outcome { ways, memory }
    }
}
