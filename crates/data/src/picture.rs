//! Decodes one picture: safely, upright, without transparency.

use std::fmt;
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader,
    ImageResult, Limits,
};

use crate::background::Background;
use crate::content::{self, Content, HEAD_LEN};
use crate::frames;
use crate::jpeg::{self, Inks};
use crate::pictures::Pictures;

/// Limits against decompression bombs.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 512 << 20;
/// Larger pictures are decoded one at a time, so that memory does not grow with the cores.
const LARGE_BYTES: u64 = 64 << 20;

/// One picture as RGB planes, with its form in the file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: Pictures,
    pub(crate) form: Form,
    /// Whether the background shows through it.
    pub(crate) transparent: bool,
    /// Whether the file has more frames or pages, which are not used.
    pub(crate) has_more: bool,
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

/// Decodes a picture to RGB: rotates it upright by its EXIF orientation, and puts the background
/// behind transparency.
///
/// Only the first frame of an animation and the first page of a TIFF are used; 16 bits become 8;
/// palettes and inks become colours, without colour management.
///
/// # Errors
///
/// Why it cannot be used, as text that follows its name: it is not a picture, truncated, of a
/// format that is not read, has inks without a description or floating-point values, or exceeds
/// 16,384 pixels per side or 512 MiB.
pub(crate) fn decode(bytes: &[u8], background: Background) -> Result<Decoded, String> {
    let head = &bytes[..bytes.len().min(HEAD_LEN)];
    let format = match Content::of(head) {
        Content::Picture(format) => format,
        Content::Unread(format) => return Err(content::unread(format)),
        Content::Other => return Err(content::explain(head).to_owned()),
    };
    let inks = if format == ImageFormat::Jpeg { check_jpeg(bytes)? } else { Inks::None };
    let cannot = |cause| format!("cannot decode it: {cause}");
    let decoder = open(bytes, format).map_err(cannot)?;
    if let (width, height @ 0) | (width @ 0, height) = decoder.dimensions() {
        return Err(format!("it is {width}x{height} pixels, which is nothing"));
    }
    let colour = match (inks, decoder.original_color_type()) {
        (Inks::Adobe, _) | (_, ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) => "CMYK",
        _ => colour_name(decoder.color_type())
            .ok_or("its values are floating point; save it with 8 or 16 bits")?,
    };
    let _alone = alone_if_large(decoder.total_bytes());
    let picture = upright(decoder).map_err(cannot)?;
    let form = Form { width: picture.width(), height: picture.height(), colour };
    let (picture, transparent) = to_rgb_planes(picture, background);
    let has_more = frames::has_several(bytes, format);
    Ok(Decoded { picture, form, transparent, has_more })
}

/// Checks what JPEG decoders do not report.
fn check_jpeg(bytes: &[u8]) -> Result<Inks, String> {
    if !jpeg::is_whole(bytes) {
        return Err("it is truncated: the JPEG has no end".to_owned());
    }
    match jpeg::inks(bytes) {
        Inks::Unknown => Err("it is a CMYK JPEG without the Adobe marker that says how its inks \
                              are meant; save it as RGB"
            .to_owned()),
        inks => Ok(inks),
    }
}

/// Reads the header, and refuses what would need too much memory.
fn open(bytes: &[u8], format: ImageFormat) -> ImageResult<impl ImageDecoder + '_> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    // The decoder's own limits do not count the picture it fills.
    limits.reserve(decoder.total_bytes())?;
    Ok(decoder)
}

/// Waits until no other large picture is being decoded, if this one is large.
fn alone_if_large(bytes: u64) -> Option<MutexGuard<'static, ()>> {
    static LARGE: Mutex<()> = Mutex::new(());
    (bytes > LARGE_BYTES).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn upright(mut decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Names the channels; `None` for floating point, whose range is not known.
fn colour_name(colour: ColorType) -> Option<&'static str> {
    Some(match colour {
        ColorType::L8 => "grey",
        ColorType::La8 => "grey and alpha",
        ColorType::Rgb8 => "RGB",
        ColorType::Rgba8 => "RGBA",
        ColorType::L16 => "grey 16 bit",
        ColorType::La16 => "grey and alpha 16 bit",
        ColorType::Rgb16 => "RGB 16 bit",
        ColorType::Rgba16 => "RGBA 16 bit",
        _ => return None,
    })
}

/// Splits a picture into planes over the background; returns whether that shows through.
fn to_rgb_planes(picture: DynamicImage, background: Background) -> (Pictures, bool) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut pixels = Vec::with_capacity(3 * width * height);
    let mut transparent = false;
    if picture.color().has_alpha() {
        let rgba = picture.into_rgba8();
        transparent = rgba.pixels().any(|pixel| pixel.0[3] < 255);
        let over = |value, alpha| background.under(value, alpha);
        for channel in 0..3 {
            pixels.extend(rgba.pixels().map(|pixel| over(pixel.0[channel], pixel.0[3])));
        }
    } else {
        let rgb = picture.into_rgb8();
        for channel in 0..3 {
            pixels.extend(rgb.pixels().map(|pixel| pixel.0[channel]));
        }
    }
    (Pictures { channels: 3, height, width, pixels }, transparent)
}
