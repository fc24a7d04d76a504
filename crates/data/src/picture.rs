//! Decodes one picture file: safely, upright, without transparency.

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::jpeg::{self, Inks};
use crate::pictures::Pictures;

/// Extensions of files to read. Their content, not the extension, decides the format.
pub(crate) const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "gif"];
/// Extensions of pictures that cannot be decoded here. They are reported as broken, not silently
/// ignored.
pub(crate) const UNSUPPORTED: [&str; 8] =
    ["tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "tga"];
/// Limits against decompression bombs.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// One picture as RGB planes, with its form in the file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: Pictures,
    pub(crate) form: Form,
}

impl Decoded {
    /// Applies `prepare` to the picture.
    pub(crate) fn map(self, prepare: impl FnOnce(Pictures) -> Pictures) -> Self {
        Self { picture: prepare(self.picture), ..self }
    }
}

/// Size and colour of a picture before it is prepared for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// Description of its channels: `grey`, `RGB`, `RGBA 16 bit`, `CMYK`, …
    pub colour: &'static str,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.colour)
    }
}

/// Returns the extension of a name in lower case.
pub(crate) fn extension(name: &Path) -> Option<String> {
    name.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// Decodes a picture to RGB: rotates it upright by its EXIF orientation, and puts black behind
/// transparency.
///
/// Black is -1 at model scale, the lowest value. Only the first frame of an animation is used; 16
/// bits become 8; palettes and inks become colours, without colour management.
///
/// # Errors
///
/// Why the file cannot be used, as text that follows its name: it is not a picture, truncated, has
/// inks without a description, or exceeds 16,384 pixels per side or 512 MiB.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let mut inks = Inks::None;
    if jpeg::is_jpeg(bytes) {
        if !jpeg::is_whole(bytes) {
            return Err("it is truncated: the JPEG has no end".to_owned());
        }
        inks = jpeg::inks(bytes);
    }
    if inks == Inks::Unknown {
        let reason = "it is a CMYK JPEG without the Adobe marker that says how its inks are meant; \
                      save it as RGB";
        return Err(reason.to_owned());
    }
    let (picture, colour) =
        decode_any(bytes).map_err(|cause| format!("cannot decode it: {cause}"))?;
    let colour = if inks == Inks::Adobe { "CMYK" } else { colour_name(colour) };
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

fn colour_name(colour: ColorType) -> &'static str {
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
