//! PNG files → pixels of a model's shape.

use std::io::Cursor;

use crate::models::Model;

/// Returns whether `bytes` begin with the signature of a PNG.
pub(super) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// How the channels of a PNG are converted.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Colours {
    /// Grey may become colour; nothing else changes.
    Exact,
    /// To one channel: the mean of all.
    Mean,
}

/// Decodes the pixels of a PNG, `[H, W, C]`.
///
/// * `shape`: their required channels, height and width.
///
/// # Errors
///
/// What is wrong with the file, and what to try.
pub(super) fn pixels(
    bytes: &[u8],
    shape: [usize; 3],
    model: &Model,
    colours: Colours,
) -> Result<Vec<u8>, String> {
    let [channels, height, width] = shape;
    let broken = |error: png::DecodingError| format!("is not a readable PNG: {error}");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (found_width, found_height) = reader.info().size();
    if (found_width as usize, found_height as usize) != (width, height) {
        return Err(format!(
            "is {found_width} x {found_height} pixels, but {} makes pictures of \
             {width} x {height}: resize it, for example with \
             `magick IN -resize {width}x{height}! OUT.png`",
            model.name
        ));
    }
    let found = reader.output_color_type().0.samples();
    let mut pixels = vec![0; height * width * found];
    reader.next_frame(&mut pixels).map_err(broken)?;
    let opaque =
        matches!(found, 1 | 3) || pixels.chunks(found).all(|pixel| pixel[found - 1] == 255);
    if !opaque {
        let advice = "flatten it, for example with `magick IN -background white -flatten OUT.png`";
        return Err(format!("is partly transparent: {advice}"));
    }
    let colour = if found > 2 { 3 } else { 1 };
    let pixels = pixels.chunks(found).map(|pixel| &pixel[..colour]);
    match (colours, colour, channels) {
        (Colours::Mean, ..) => Ok(pixels
            .map(|pixel| {
                let sum: usize = pixel.iter().map(|byte| usize::from(*byte)).sum();
                (sum / pixel.len()) as u8
            })
            .collect()),
        (_, 1, _) => Ok(pixels.flat_map(|pixel| pixel.repeat(channels)).collect()),
        (_, 3, 3) => Ok(pixels.flatten().copied().collect()),
        _ => Err(format!(
            "is in colour, but {} makes pictures of {channels} channels: convert it, for example \
             with `magick IN -colorspace Gray OUT.png`",
            model.name
        )),
    }
}
