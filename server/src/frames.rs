//! Encodes samples and previews.

use ddpm_diffusion::pixels;
use ddpm_package::{Kind, Manifest};

/// How elements are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    RawU8,
    RawF32,
    Png,
}

/// Encodes samples of one model in one encoding.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    encoding: Encoding,
    /// As in the manifest: channels, height, width; or 2 for points.
    shape: Vec<usize>,
}

impl Encoder {
    /// Creates an encoder for a model.
    ///
    /// # Errors
    ///
    /// A sentence, if the model's samples cannot be encoded that way.
    pub(crate) fn new(encoding: Encoding, manifest: &Manifest) -> Result<Self, String> {
        let shape = manifest.sample_shape.clone();
        if manifest.kind == Kind::Points2d && encoding != Encoding::RawF32 {
            return Err("points have no pixels: use FORMAT_RAW_F32".into());
        }
        if encoding == Encoding::Png && !matches!(shape[0], 1 | 3) {
            let channels = shape[0];
            return Err(format!("a PNG has 1 or 3 channels; this model has {channels}"));
        }
        Ok(Self { encoding, shape })
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns the shape of an encoded sample, in the layout of the encoding.
    pub(crate) fn shape(&self) -> Vec<u32> {
        let shape = self.shape.iter().map(|axis| *axis as u32);
        match (self.encoding, &self.shape[..]) {
            (Encoding::RawU8 | Encoding::Png, [_, _, _]) => {
                let mut shape: Vec<u32> = shape.collect();
                shape.rotate_left(1);
                shape
            }
            _ => shape.collect(),
        }
    }

    /// Encodes one sample.
    ///
    /// # Errors
    ///
    /// If the PNG encoder fails.
    pub(crate) fn encode(&self, values: &[f32]) -> Result<Vec<u8>, png::EncodingError> {
        match self.encoding {
            Encoding::RawF32 => Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Encoding::RawU8 => Ok(self.pixels(values)),
            Encoding::Png => self.png(&self.pixels(values)),
        }
    }

    fn pixels(&self, values: &[f32]) -> Vec<u8> {
        let mut pixels = Vec::new();
        pixels::to_hwc(values, self.shape[0], &mut pixels);
        pixels
    }

    fn png(&self, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.shape[2] as u32, self.shape[1] as u32);
        let grey = self.shape[0] == 1;
        encoder.set_color(if grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}
