//! Pictures of one shape, one after another: u8 in CHW order.

use crate::resize::resize_square;

/// N pictures `[channels, height, width]`, u8 in [0, 255]; `pixels` holds them one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pictures {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Pictures {
    /// Returns the size of one picture in bytes.
    pub(crate) fn picture_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Returns the number of pictures.
    pub(crate) fn len(&self) -> usize {
        self.pixels.len() / self.picture_len()
    }

    /// Returns picture `i`, `[channels, height, width]`.
    pub(crate) fn get(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.picture_len()..][..self.picture_len()]
    }

    /// Reduces colour to one channel of luma; grey pictures stay unchanged.
    pub(crate) fn into_greyscale(self) -> Self {
        if self.channels != 3 {
            return self;
        }
        let plane = self.height * self.width;
        let mut pixels = Vec::with_capacity(self.pixels.len() / 3);
        for picture in self.pixels.chunks_exact(3 * plane) {
            let (red, rest) = picture.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            pixels.extend((0..plane).map(|i| luma(red[i], green[i], blue[i])));
        }
        Self { channels: 1, pixels, ..self }
    }

    /// Crops each picture to the square of `side` pixels that begins at (`top`, `left`).
    ///
    /// # Panics
    ///
    /// If the square does not lie inside the pictures.
    pub(crate) fn cropped(self, top: usize, left: usize, side: usize) -> Self {
        let rows = self.pixels.chunks_exact(self.height * self.width).flat_map(|plane| {
            plane.chunks_exact(self.width).skip(top).take(side).map(|row| &row[left..left + side])
        });
        let pixels = rows.flatten().copied().collect();
        Self { height: side, width: side, pixels, ..self }
    }

    /// Crops each picture to its centre square and resizes that to `size` × `size`.
    ///
    /// The filter is Pillow's `BILINEAR`, as in the reference; it antialiases when shrinking.
    /// Pictures that already have this size stay unchanged.
    pub(crate) fn fitted(self, size: usize) -> Self {
        if (self.height, self.width) == (size, size) {
            return self;
        }
        let side = self.height.min(self.width);
        let (top, left) = ((self.height - side) / 2, (self.width - side) / 2);
        let square = self.cropped(top, left, side);
        let mut pixels = Vec::with_capacity(square.len() * square.channels * size * size);
        for plane in square.pixels.chunks_exact(side * side) {
            pixels.extend(resize_square(plane, side, size));
        }
        Self { height: size, width: size, pixels, ..square }
    }
}

/// Computes the Rec. 709 luma of an sRGB pixel; the weights sum to 10,000, so grey stays unchanged.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue) + 5000) / 10_000)
        as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: Vec<u8>) -> Pictures {
        Pictures { channels: 1, height, width, pixels }
    }

    #[test]
    fn a_wide_or_tall_picture_keeps_its_centre() {
        let wide = grey(2, 6, (0..12).collect());
        assert_eq!(wide.fitted(2), grey(2, 2, vec![2, 3, 8, 9]));
        let tall = grey(4, 2, (0..8).collect());
        assert_eq!(tall.fitted(2), grey(2, 2, vec![2, 3, 4, 5]));
    }

    #[test]
    fn a_crop_is_the_square_that_begins_at_its_corner() {
        let pixels = (0..24).collect();
        let cropped = Pictures { channels: 2, height: 3, width: 4, pixels }.cropped(1, 2, 2);
        assert_eq!((cropped.height, cropped.width), (2, 2));
        assert_eq!(cropped.pixels, [6, 7, 10, 11, 18, 19, 22, 23]);
    }

    #[test]
    fn every_picture_and_channel_is_resized_by_itself() {
        let pixels = [10, 20, 30, 40].iter().flat_map(|&value| [value; 9]).collect();
        let fitted = Pictures { channels: 2, height: 3, width: 3, pixels }.fitted(5);
        assert_eq!((fitted.len(), fitted.channels), (2, 2));
        assert!(
            fitted.get(0)[..25].iter().all(|&v| v == 10)
                && fitted.get(1)[25..].iter().all(|&v| v == 40)
        );
    }

    #[test]
    fn greyscale_is_rec_709_luma() {
        let colour = Pictures {
            channels: 3,
            height: 1,
            width: 5,
            pixels: vec![
                255, 0, 0, 200, 255, // red
                0, 255, 0, 200, 255, // green
                0, 0, 255, 200, 255, // blue
            ],
        };
        assert_eq!(colour.into_greyscale(), grey(1, 5, vec![54, 182, 18, 200, 255]));
    }
}
