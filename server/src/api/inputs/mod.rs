//! The pictures and states in a request: decoded, checked, and identified by a digest.

use std::sync::Arc;

use ddpm_diffusion::pixels;
use ddpm_package::{Kind, Manifest};
use ddpm_proto::v1::{self, Format, initial};
use sha2::{Digest, Sha256};

use super::faults::Faults;
use super::recipe;
use crate::request::{Initial, KnownImage};

/// Bytes of the tables and windows of a PNG decoder.
const PNG_DECODER_BYTES: usize = 512 << 10;

/// Bytes of a PNG's rows and metadata that are read besides as many as its file has.
const PNG_EXTRA_BYTES: usize = 64 << 10;

/// The states that a request starts from, and its known image.
pub(super) struct Inputs {
    pub(super) initial: Arc<Initial>,
    pub(super) known: Option<Arc<KnownImage>>,
    /// The part that decides the rows.
    pub(super) kind: recipe::InitialKind,
    /// SHA-256 over all inputs, hex; empty if there are none.
    pub(super) digest: String,
}

/// Reads the inputs; adds faults with their fields.
///
/// * `max`: most tensors in one list.
pub(super) fn read(
    faults: &mut Faults,
    manifest: &Manifest,
    initial: Option<v1::Initial>,
    inpaint: Option<&v1::Inpaint>,
    max: u32,
) -> Inputs {
    let mut reader = Reader { faults, manifest, max: max as usize };
    let (initial, kind) = reader.initial(initial);
    let known = inpaint.and_then(|inpaint| reader.known(inpaint));
    let digest = digest(&initial, known.as_ref());
    Inputs { initial: Arc::new(initial), known: known.map(Arc::new), kind, digest }
}

/// Returns all inputs of a request.
pub(super) fn tensors(message: &v1::GenerateRequest) -> impl Iterator<Item = &v1::Tensor> {
    let (list, ends) = match message.initial.as_ref().and_then(|initial| initial.kind.as_ref()) {
        Some(initial::Kind::States(given)) => (&given.states[..], [None; 2]),
        Some(initial::Kind::Images(given)) => (&given.images[..], [None; 2]),
        Some(initial::Kind::Interpolation(given)) => {
            (&[][..], [given.from.as_ref(), given.to.as_ref()])
        }
        None => (&[][..], [None; 2]),
    };
    let inpaint = message.inpaint.as_ref();
    let known = inpaint.map(|inpaint| [inpaint.image.as_ref(), inpaint.mask.as_ref()]);
    list.iter().chain(ends.into_iter().flatten()).chain(known.into_iter().flatten().flatten())
}

/// Returns the most bytes of memory that reading a PNG takes, beside it and its pixels.
///
/// * `len`: bytes of the file.
pub(super) fn png_bytes(len: usize) -> usize {
    PNG_DECODER_BYTES + 2 * len
}

struct Reader<'a> {
    faults: &'a mut Faults,
    manifest: &'a Manifest,
    max: usize,
}

impl Reader<'_> {
    fn initial(&mut self, initial: Option<v1::Initial>) -> (Initial, recipe::InitialKind) {
        let states = recipe::InitialKind::States;
        match initial.map(|initial| initial.kind) {
            None => (Initial::Noise, recipe::InitialKind::Noise),
            Some(None) => {
                self.faults.add("initial.kind", "is required: states, images or interpolation");
                (Initial::Noise, states)
            }
            Some(Some(initial::Kind::States(given))) => {
                (self.list("initial.states.states", &given.states, Formats::RawF32), states)
            }
            Some(Some(initial::Kind::Images(given))) => {
                let kind = recipe::InitialKind::Images { strength: given.strength };
                (self.list("initial.images.images", &given.images, Formats::Any), kind)
            }
            Some(Some(initial::Kind::Interpolation(between))) => {
                (self.between(&between).unwrap_or(Initial::Noise), states)
            }
        }
    }

    fn list(&mut self, field: &str, tensors: &[v1::Tensor], formats: Formats) -> Initial {
        if tensors.is_empty() || tensors.len() > self.max {
            let (max, got) = (self.max, tensors.len());
            self.faults.add(field, format!("must hold 1 to {max} tensors, got {got}"));
            return Initial::Noise;
        }
        let mut states = Vec::with_capacity(tensors.len());
        for (position, tensor) in tensors.iter().enumerate() {
            match elements(self.manifest, tensor, formats) {
                Ok(state) => states.push(state),
                Err(fault) => self.faults.add(format!("{field}[{position}]"), fault),
            }
            if self.faults.left() == 0 {
                break;
            }
        }
        Initial::States(states)
    }

    fn between(&mut self, between: &v1::Interpolation) -> Option<Initial> {
        if between.frames < 2 {
            let got = between.frames;
            let reason = format!("must be at least 2 (both ends), got {got}");
            self.faults.add("initial.interpolation.frames", reason);
        }
        let from =
            self.tensor("initial.interpolation.from", between.from.as_ref(), Formats::RawF32);
        let to = self.tensor("initial.interpolation.to", between.to.as_ref(), Formats::RawF32);
        Some(Initial::Interpolation {
            from: from?,
            to: to?,
            frames: u64::from(between.frames.max(2)),
        })
    }

    fn tensor(
        &mut self,
        field: &str,
        tensor: Option<&v1::Tensor>,
        formats: Formats,
    ) -> Option<Vec<f32>> {
        let read = tensor
            .ok_or_else(|| "is required".into())
            .and_then(|tensor| elements(self.manifest, tensor, formats));
        self.faults.take(field, read)
    }

    fn known(&mut self, inpaint: &v1::Inpaint) -> Option<KnownImage> {
        let image = self.tensor("inpaint.image", inpaint.image.as_ref(), Formats::Any);
        let mask = inpaint.mask.as_ref().ok_or_else(|| "is required".into());
        let mask = mask.and_then(|tensor| mask_elements(self.manifest, tensor));
        let mask = self.faults.take("inpaint.mask", mask);
        Some(KnownImage { image: image?, mask: mask? })
    }
}

/// The formats that a field accepts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Formats {
    Any,
    RawF32,
}

/// Returns the elements of a sample, in the model's scale and layout.
fn elements(
    manifest: &Manifest,
    tensor: &v1::Tensor,
    formats: Formats,
) -> Result<Vec<f32>, String> {
    let len = manifest.sample_len();
    let channels = manifest.sample_shape[0];
    match format(tensor)? {
        Format::RawF32 => f32_elements(&tensor.data, len),
        other if formats == Formats::RawF32 => {
            Err(format!("is a state, so it must be FORMAT_RAW_F32, got {}", other.as_str_name()))
        }
        _ if manifest.kind == Kind::Points2d => {
            Err("points have no pixels: send FORMAT_RAW_F32".into())
        }
        Format::Png => {
            Ok(pixels::from_hwc(&png_pixels(manifest, &tensor.data, channels)?, channels))
        }
        _ => Ok(pixels::from_hwc(raw_pixels(&tensor.data, len)?, channels)),
    }
}

/// Returns the elements of a mask, in the model's layout and in [0, 1]; a single channel
/// applies to all.
fn mask_elements(manifest: &Manifest, tensor: &v1::Tensor) -> Result<Vec<f32>, String> {
    let len = manifest.sample_len();
    let channels = match manifest.kind {
        Kind::Image => manifest.sample_shape[0],
        Kind::Points2d => 1,
    };
    let area = len / channels;
    let mask = match format(tensor)? {
        Format::RawF32 => {
            let one_channel = tensor.data.len() == 4 * area;
            f32_elements(&tensor.data, if one_channel { area } else { len })?
        }
        _ if manifest.kind == Kind::Points2d => {
            return Err("points have no pixels: send FORMAT_RAW_F32".into());
        }
        Format::Png => {
            let one_channel = png_pixels(manifest, &tensor.data, 1);
            let pixels = one_channel.or_else(|_| png_pixels(manifest, &tensor.data, channels))?;
            mask_of_pixels(&pixels, pixels.len() / area)
        }
        _ => {
            let one_channel = tensor.data.len() == area;
            let pixels = raw_pixels(&tensor.data, if one_channel { area } else { len })?;
            mask_of_pixels(pixels, pixels.len() / area)
        }
    };
    if let Some(bad) = mask.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(format!("must be in [0, 1] everywhere, got {bad}"));
    }
    Ok(if mask.len() == len { mask } else { mask.repeat(channels) })
}

fn format(tensor: &v1::Tensor) -> Result<Format, String> {
    match Format::try_from(tensor.format) {
        Ok(Format::Unspecified) => Err("its format is required".into()),
        Ok(format) => Ok(format),
        Err(_) => Err(format!("{} is not a format that this server knows", tensor.format)),
    }
}

fn f32_elements(data: &[u8], len: usize) -> Result<Vec<f32>, String> {
    let (chunks, rest) = data.as_chunks::<4>();
    if !rest.is_empty() || chunks.len() != len {
        let (want, got) = (4 * len, data.len());
        return Err(format!("{len} float32 elements are {want} bytes, got {got}"));
    }
    let elements: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match elements.iter().position(|element| !element.is_finite()) {
        Some(at) => Err(format!("element {at} is {}", elements[at])),
        None => Ok(elements),
    }
}

fn raw_pixels(data: &[u8], len: usize) -> Result<&[u8], String> {
    if data.len() == len {
        return Ok(data);
    }
    Err(format!("{len} elements of one byte are {len} bytes, got {} bytes", data.len()))
}

/// Decodes a PNG of the model's size to pixels `[H, W, C]`.
fn png_pixels(manifest: &Manifest, data: &[u8], channels: usize) -> Result<Vec<u8>, String> {
    let [_, height, width] = manifest.sample_shape[..] else {
        return Err("this model makes no pictures".into());
    };
    let broken = |error: png::DecodingError| format!("is not a readable PNG: {error}");
    let limits = png::Limits { bytes: PNG_EXTRA_BYTES + 64 * width + data.len() };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(data), limits);
    // A profile of a few bytes may become megabytes.
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (found_width, found_height) = reader.info().size();
    if (found_width as usize, found_height as usize) != (width, height) {
        return Err(format!(
            "is {found_width}×{found_height} pixels; this model's pictures are {width}×{height}"
        ));
    }
    let (color, _) = reader.output_color_type();
    if color.samples() != channels {
        let found = color.samples();
        return Err(format!("has {found} channels (including alpha), needs {channels}"));
    }
    // The decoder checks that there are at most 256 colours, but relies on whole ones.
    let palette = reader.info().palette.as_ref().map_or(0, |palette| palette.len());
    if !palette.is_multiple_of(3) {
        return Err(format!("is not a readable PNG: its palette has {palette} bytes"));
    }
    let mut pixels = vec![0; height * width * channels];
    reader.next_frame(&mut pixels).map_err(broken)?;
    Ok(pixels)
}

/// Turns `[H, W, C]` pixels into a mask, channels first. 255 means known; so does 1 if no
/// pixel is larger, since some tools write masks that way.
fn mask_of_pixels(pixels: &[u8], channels: usize) -> Vec<f32> {
    let full = if pixels.iter().all(|pixel| *pixel <= 1) { 1.0 } else { 255.0 };
    let plane = |channel| pixels.iter().skip(channel).step_by(channels);
    (0..channels).flat_map(plane).map(|pixel| f32::from(*pixel) / full).collect()
}

fn digest(initial: &Initial, known: Option<&KnownImage>) -> String {
    let mut hash = Sha256::new();
    let mut put = |name: &[u8], elements: &[f32]| {
        hash.update(name);
        hash.update((elements.len() as u64).to_le_bytes());
        elements.iter().for_each(|element| hash.update(element.to_le_bytes()));
    };
    match initial {
        Initial::Noise if known.is_none() => return String::new(),
        Initial::Noise => {}
        Initial::States(states) => states.iter().for_each(|state| put(b"given", state)),
        Initial::Interpolation { from, to, frames } => {
            put(b"from", from);
            put(b"to", to);
            put(&frames.to_le_bytes(), &[]);
        }
    }
    if let Some(known) = known {
        put(b"known", &known.image);
        put(b"mask", &known.mask);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
