//! A raster of pixels, and how a sample becomes one.

use crate::{
    error::Error,
    events::{Data, Sample},
};

/// More pixels than a grid of 10,000 samples of 128 x 128; above it something
/// was asked for by mistake.
const MAX_PIXELS: u64 = 1 << 28;

/// Pixels, row by row, 1 (grey) or 3 (RGB) bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of one colour: `width` x `height` pixels of `colour`, which has
    /// 1 or 3 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] for no pixel or more than 2^28 of them.
    pub fn filled(width: u64, height: u64, colour: &[u8]) -> Result<Self, Error> {
        let size = width.checked_mul(height).filter(|size| (1..=MAX_PIXELS).contains(size));
        let side = |side: u64| u32::try_from(side).ok();
        let (Some(size), Some(columns), Some(rows)) = (size, side(width), side(height)) else {
            return Err(Error::Picture(format!(
                "cannot make a picture of {width} x {height} pixels: \
                 use fewer samples or a smaller scale"
            )));
        };
        let pixels = colour.repeat(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(Self { width: columns, height: rows, channels: channels_of(colour.len())?, pixels })
    }

    /// The picture of a sample: its pixels, or its values at
    /// round(x * 127.5 + 127.5), clamped to [0, 255].
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] if the sample is a point, a PNG file, or has channels
    /// that are neither 1 nor 3.
    pub fn of(sample: &Sample) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::Picture(format!("sample {} cannot be shown as a picture: {why}", sample.index))
        };
        let &[a, b, c] = sample.shape.as_slice() else {
            return Err(wrong(&format!("its shape is {:?}", sample.shape)));
        };
        let (height, width, channels, pixels) = match &sample.data {
            Data::Pixels(pixels) => (a, b, c, pixels.clone()),
            Data::Values(values) => (b, c, a, to_pixels(values, a as usize)),
            Data::Png(_) => return Err(wrong("it is a PNG file already")),
        };
        let channels = channels_of(channels as usize)
            .map_err(|_| wrong(&format!("it has {channels} channels, not 1 or 3; use npy")))?;
        Ok(Self { width, height, channels, pixels })
    }

    /// Columns of pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of a pixel: 1 or 3.
    #[must_use]
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// All bytes, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Red, green, blue, opaque: four bytes a pixel.
    pub(crate) fn to_rgba(&self) -> Vec<u8> {
        let pixels = self.pixels.chunks_exact(self.channels as usize);
        pixels
            .flat_map(|pixel| [pixel[0], pixel[pixel.len() / 2], pixel[pixel.len() - 1], 255])
            .collect()
    }

    /// Copies `picture` into this one, each of its pixels `scale` x `scale`
    /// large, with its upper left corner at column `x`, row `y`.
    ///
    /// # Panics
    ///
    /// If it does not fit, or has other channels.
    pub(crate) fn paste(&mut self, picture: &Self, x: u32, y: u32, scale: u32) {
        assert_eq!(self.channels, picture.channels, "pictures of one kind");
        let (bytes, scale) = (self.channels as usize, scale as usize);
        let stride = self.width as usize * bytes;
        let left = x as usize * bytes;
        let rows = picture.pixels.chunks_exact(picture.width as usize * bytes);
        for (row, source) in rows.enumerate() {
            let enlarged: Vec<u8> = source
                .chunks_exact(bytes)
                .flat_map(|pixel| pixel.iter().cycle().take(bytes * scale))
                .copied()
                .collect();
            for line in 0..scale {
                let start = (y as usize + row * scale + line) * stride + left;
                self.pixels[start..start + enlarged.len()].copy_from_slice(&enlarged);
            }
        }
    }
}

fn channels_of(count: usize) -> Result<u32, Error> {
    match count {
        1 => Ok(1),
        3 => Ok(3),
        _ => Err(Error::Picture(format!("a pixel has 1 or 3 channels, not {count}"))),
    }
}

/// Model scale, channels x height x width → pixels, height x width x channels.
fn to_pixels(values: &[f32], channels: usize) -> Vec<u8> {
    let plane = values.len() / channels.max(1);
    let value = |position: usize, channel: usize| values[channel * plane + position];
    let pixel = |position: usize| (0..channels).map(move |channel| value(position, channel));
    (0..plane).flat_map(pixel).map(to_byte).collect()
}

/// The cast saturates, and takes NaN to 0.
fn to_byte(x: f32) -> u8 {
    (x * 127.5 + 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_pixels_with_their_channels_last() {
        let values = vec![-1.0, 1.0, 0.0, -2.0, 3.0, f32::NAN];
        let sample = Sample { index: 0, shape: vec![3, 1, 2], data: Data::Values(values) };

        let picture = Picture::of(&sample).unwrap();

        // Channel planes (-1, 1), (0, -2), (3, NaN); 0 is at 127.5, rounded away from 0.
        assert_eq!(picture.pixels(), [0, 128, 255, 255, 0, 0]);
        assert_eq!((picture.width(), picture.height(), picture.channels()), (2, 1, 3));
    }

    #[test]
    fn a_pasted_pixel_is_a_square_of_the_scale() {
        let mut canvas = Picture::filled(5, 3, &[0]).unwrap();
        let sample = Sample { index: 0, shape: vec![1, 2, 1], data: Data::Pixels(vec![7, 9]) };

        canvas.paste(&Picture::of(&sample).unwrap(), 1, 1, 2);

        let rows: Vec<&[u8]> = canvas.pixels().chunks_exact(5).collect();
        assert_eq!(rows, [[0, 0, 0, 0, 0], [0, 7, 7, 9, 9], [0, 7, 7, 9, 9]]);
    }

    #[test]
    fn what_is_no_picture_is_an_error_with_its_index() {
        let point = Sample { index: 8, shape: vec![2], data: Data::Values(vec![0.0, 0.0]) };
        let two = Sample { index: 9, shape: vec![1, 1, 2], data: Data::Pixels(vec![0, 0]) };

        assert!(Picture::of(&point).unwrap_err().to_string().contains("sample 8"));
        assert!(Picture::of(&two).unwrap_err().to_string().contains("2 channels"));
        assert!(Picture::filled(1 << 20, 1 << 20, &[0]).is_err());
    }
}
