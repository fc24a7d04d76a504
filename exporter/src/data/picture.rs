//! One picture file: decoded safely, upright, without transparency.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::jpeg;
use super::pictures::Pictures;

/// What a file must be called to be looked at. The content decides about its format.
pub(super) const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "gif"];
/// Limits that make a decompression bomb an error.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// Reads a picture as RGB: turned upright by its EXIF orientation, laid over black where it is transparent.
///
/// Black is -1 at model scale, the floor of the value range. Of an animation the first frame counts; 16 bits
/// become 8.
///
/// # Errors
///
/// Why the file cannot be used, in words that fit after its name: it is unreadable, not a picture, truncated,
/// or larger than 16,384 pixels a side or 512 MiB.
pub(super) fn read(path: &Path) -> Result<Pictures, String> {
    let bytes = fs::read(path).map_err(|cause| format!("cannot read it: {cause}"))?;
    if jpeg::is_jpeg(&bytes) && !jpeg::is_whole(&bytes) {
        return Err("it is truncated: the JPEG has no end".to_owned());
    }
    let picture = decode(&bytes).map_err(|cause| format!("cannot decode it: {cause}"))?;
    Ok(to_rgb_planes(&picture))
}

fn decode(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);

    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // The decoder's own limits do not count the picture it fills.
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
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
