//! One picture file: decoded safely, upright, without transparency.

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits};

use super::jpeg::{self, Inks};
use super::pictures::Pictures;

/// What a file must be called to be looked at. The content decides about its format.
pub(super) const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "gif"];
/// Pictures that nothing here reads. They are named as broken, because nobody expects them to be missing.
pub(super) const UNREAD: [&str; 8] = ["tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "tga"];
/// Limits that make a decompression bomb an error.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// One picture as RGB planes, and what it was in its file.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) picture: Pictures,
    pub(super) form: Form,
}

impl Decoded {
    /// The same picture, brought to another form.
    pub(super) fn map(self, prepare: impl FnOnce(Pictures) -> Pictures) -> Self {
        Self { picture: prepare(self.picture), ..self }
    }
}

/// What a picture was before it was prepared for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// Columns of the upright picture.
    pub width: u32,
    /// Rows of the upright picture.
    pub height: u32,
    /// Its channels, in words: `grey`, `RGB`, `RGBA 16 bit`, `CMYK`, …
    pub colour: &'static str,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.colour)
    }
}

/// The lower-case extension of a name.
pub(super) fn extension(name: &Path) -> Option<String> {
    name.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// Decodes a picture to RGB: turned upright by its EXIF orientation, laid over black where it is transparent.
///
/// Black is -1 at model scale, the floor of the value range. Of an animation the first frame counts; 16 bits
/// become 8; palettes and inks become colours, without colour management.
///
/// # Errors
///
/// Why the file cannot be used, in words that fit after its name: it is not a picture, truncated, of inks that are
/// not described, or larger than 16,384 pixels a side or 512 MiB.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let mut inks = Inks::None;
    if jpeg::is_jpeg(bytes) {
        if !jpeg::is_whole(bytes) {
            return Err("it is truncated: the JPEG has no end".to_owned());
        }
        inks = jpeg::inks(bytes);
    }
    if inks == Inks::Unknown {
        return Err(
            "it is a CMYK JPEG without the Adobe marker that says how its inks are meant; \
                    save it as RGB"
                .to_owned(),
        );
    }
    let (picture, colour) =
        decode_any(bytes).map_err(|cause| format!("cannot decode it: {cause}"))?;
    let colour = if inks == Inks::Adobe { "CMYK" } else { name_of(colour) };
    let form = Form { width: picture.width(), height: picture.height(), colour };
    Ok(Decoded { picture: to_rgb_planes(&picture), form })
}

fn decode_any(bytes: &[u8]) -> image::ImageResult<(DynamicImage, ColorType)> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);

    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // The decoder's own limits do not count the picture it fills.
    limits.reserve(decoder.total_bytes())?;
    let (orientation, colour) = (decoder.orientation()?, decoder.color_type());
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok((picture, colour))
}

fn name_of(colour: ColorType) -> &'static str {
    match colour {
        ColorType::L8 => "grey",
        ColorType::La8 => "grey and alpha",
        ColorType::Rgb8 => "RGB",
        ColorType::Rgba8 => "RGBA",
        ColorType::L16 => "grey 16 bit",
        ColorType::La16 => "grey and alpha 16 bit",
        ColorType::Rgb16 => "RGB 16 bit",
        ColorType::Rgba16 => "RGBA 16 bit",
        _ => "floating point",
    }
}

fn to_rgb_planes(picture: &DynamicImage) -> Pictures {
    let rgba = picture.to_rgba8();
    let over_black =
        |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    let plane =
        |channel: usize| rgba.pixels().map(move |pixel| over_black(pixel.0[channel], pixel.0[3]));
    Pictures {
        channels: 3,
        height: rgba.height() as usize,
        width: rgba.width() as usize,
        pixels: (0..3).flat_map(plane).collect(),
    }
}
