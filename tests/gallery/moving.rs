//! The page while glyphs form.

use ddpm_pictures::Picture;

use crate::page::{generate, go_to, open};
use crate::studio::{Studio, picture};

/// The window, small.
const SIZE: (u32, u32) = (880, 640);

/// How many glyphs: noise cannot be compressed, so each takes its share of the file.
const GLYPHS: &str = "16";

/// Frames, twelve a second.
const FRAMES: u32 = 25;
const DELAY_MS: u16 = 83;

/// How long the finished glyphs are shown.
const HOLD_MS: u16 = 2000;

/// The timeline is moved step by step, so that every frame is there however fast the machine is.
pub(crate) fn page(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let tab = open(studio, "dark", SIZE, 1.0);
    generate(&tab, &[("#model", "glyphs"), ("#count", GLYPHS), ("#steps", "50")]);
    let frame = |number| {
        go_to(&tab, f64::from(number) / f64::from(FRAMES));
        picture(&tab, None)
    };
    let frames: anyhow::Result<Vec<Picture>> = (0..=FRAMES).map(frame).collect();
    apng(&frames?)
}

/// Encodes frames as APNG. After the first, a frame has only the part that changed: most of a page
/// stands still.
fn apng(frames: &[Picture]) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, frames[0].width(), frames[0].height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.set_animated(u32::try_from(frames.len())?, 0)?;
    encoder.set_frame_delay(DELAY_MS, 1000)?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(frames[0].pixels())?;
    for (number, pair) in frames.windows(2).enumerate() {
        let area = Area::changed(&pair[0], &pair[1]);
        // Any size fits at the corner, where the position must be when the size changes.
        writer.set_frame_position(0, 0)?;
        writer.set_frame_dimension(area.width, area.height)?;
        writer.set_frame_position(area.left, area.top)?;
        let is_last = number + 2 == frames.len();
        writer.set_frame_delay(if is_last { HOLD_MS } else { DELAY_MS }, 1000)?;
        writer.write_image_data(&area.pixels(&pair[1]))?;
    }
    writer.finish()?;
    Ok(file)
}

/// A part of a picture.
struct Area {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

impl Area {
    /// Finds the smallest part outside of which two pictures of one size are equal; a pixel if they
    /// are equal everywhere.
    fn changed(before: &Picture, after: &Picture) -> Self {
        let (width, bytes) = (after.width() as usize, after.channels() as usize);
        let pixels = before.pixels().chunks_exact(bytes).zip(after.pixels().chunks_exact(bytes));
        let places =
            pixels.enumerate().filter(|(_, (old, new))| old != new).map(|(place, _)| place);
        let (mut left, mut right, mut top, mut bottom) = (width, 0, usize::MAX, 0);
        for place in places {
            let (x, y) = (place % width, place / width);
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
        let (left, top) = (left.min(right), top.min(bottom));
        Self {
            left: left as u32,
            top: top as u32,
            width: (right - left + 1) as u32,
            height: (bottom - top + 1) as u32,
        }
    }

    fn pixels(&self, picture: &Picture) -> Vec<u8> {
        let bytes = picture.channels() as usize;
        let rows = picture.pixels().chunks_exact(picture.width() as usize * bytes);
        let (start, end) = (self.left as usize * bytes, (self.left + self.width) as usize * bytes);
        let rows = rows.skip(self.top as usize).take(self.height as usize);
        rows.flat_map(|row| &row[start..end]).copied().collect()
    }
}
