//! A raster of pixels, and its construction from a sample.

use ddpm_diffusion::pixels;

use crate::Error;

/// Largest number of pixels: more than a grid of 10,000 samples of 128 x 128, so a larger picture
/// is a mistake.
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
    /// Creates a picture of one colour: `width` x `height` pixels of `colour`, which has 1 or 3
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`Error`] for no pixels or more than 2^28.
    pub fn filled(width: u64, height: u64, colour: &[u8]) -> Result<Self, Error> {
        let size = width.checked_mul(height).filter(|size| (1..=MAX_PIXELS).contains(size));
        let side = |side: u64| u32::try_from(side).ok();
        let (Some(size), Some(columns), Some(rows)) = (size, side(width), side(height)) else {
            return Err(Error(format!(
                "cannot make a picture of {width} x {height} pixels: \
                 use fewer samples or a smaller scale"
            )));
        };
        let pixels = colour.repeat(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(Self { width: columns, height: rows, channels: valid_channels(colour.len())?, pixels })
    }

    /// Creates a picture of these pixels.
    ///
    /// * `pixels`: `[height, width, channels]`.
    ///
    /// # Errors
    ///
    /// [`Error`] if a side is 0, if there are neither 1 nor 3 channels, or if the number of bytes
    /// does not fit.
    pub fn from_pixels(
        width: u32,
        height: u32,
        channels: u32,
        pixels: Vec<u8>,
    ) -> Result<Self, Error> {
        let channels = valid_channels(channels as usize)?;
        let elements = u64::from(width) * u64::from(height) * u64::from(channels);
        if elements == 0 || elements != pixels.len() as u64 {
            let found = pixels.len();
            return Err(Error(format!(
                "{found} bytes do not make {width} x {height} pixels in {channels} channels"
            )));
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// Creates a picture of values at model scale as round(x * 127.5 + 127.5), clamped to [0, 255].
    ///
    /// * `shape`: channels, height, width.
    /// * `values`: of that shape.
    ///
    /// # Errors
    ///
    /// As [`Picture::from_pixels`].
    pub fn from_values(shape: [u32; 3], values: &[f32]) -> Result<Self, Error> {
        let [channels, height, width] = shape;
        valid_channels(channels as usize)?;
        if !values.len().is_multiple_of(channels as usize) {
            let found = values.len();
            return Err(Error(format!("{found} values do not divide into {channels} channels")));
        }
        let mut bytes = Vec::new();
        pixels::to_hwc(values, channels as usize, &mut bytes);
        Self::from_pixels(width, height, channels, bytes)
    }

    /// Returns the width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the number of bytes per pixel: 1 or 3.
    #[must_use]
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Returns all bytes, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Converts to red, green, blue and opaque alpha: four bytes per pixel.
    pub(crate) fn to_rgba(&self) -> Vec<u8> {
        let pixels = self.pixels.chunks_exact(self.channels as usize);
        pixels
            .flat_map(|pixel| [pixel[0], pixel[pixel.len() / 2], pixel[pixel.len() - 1], 255])
            .collect()
    }

    /// Copies `picture` into this one, enlarging each pixel to `scale` x `scale`, with the upper
    /// left corner at column `x`, row `y`.
    ///
    /// # Panics
    ///
    /// If it does not fit, or has another number of channels.
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

fn valid_channels(count: usize) -> Result<u32, Error> {
    match count {
        1 => Ok(1),
        3 => Ok(3),
        _ => Err(Error(format!("a pixel has 1 or 3 channels, not {count}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_pixels_with_their_channels_last() {
        let values = [-1.0, 1.0, 0.0, -2.0, 3.0, f32::NAN];

        let picture = Picture::from_values([3, 1, 2], &values).unwrap();

        // Channel planes (-1, 1), (0, -2), (3, NaN); 0 is at 127.5, rounded away from 0.
        assert_eq!(picture.pixels(), [0, 128, 255, 255, 0, 0]);
        assert_eq!((picture.width(), picture.height(), picture.channels()), (2, 1, 3));
    }

    #[test]
    fn a_pasted_pixel_is_a_square_of_the_scale() {
        let mut canvas = Picture::filled(5, 3, &[0]).unwrap();

        canvas.paste(&Picture::from_pixels(2, 1, 1, vec![7, 9]).unwrap(), 1, 1, 2);

        let rows: Vec<&[u8]> = canvas.pixels().chunks_exact(5).collect();
        assert_eq!(rows, [[0, 0, 0, 0, 0], [0, 7, 7, 9, 9], [0, 7, 7, 9, 9]]);
    }

    #[test]
    fn invalid_pictures_are_errors_with_their_numbers() {
        let reason = |result: Result<Picture, Error>| result.unwrap_err().to_string();

        assert!(reason(Picture::from_pixels(1, 1, 2, vec![0, 0])).contains("not 2"));
        assert!(reason(Picture::from_pixels(2, 2, 1, vec![0; 3])).contains("3 bytes"));
        assert!(reason(Picture::from_values([3, 1, 1], &[0.0; 4])).contains("4 values"));
        assert!(Picture::filled(1 << 20, 1 << 20, &[0]).is_err());
    }
}
