//! Pictures of one shape as pixels, from any source.
//!
//! Samples are rounded to 256 levels first, as in files: so samples, a folder of them and an array
//! of them are the same set.

use std::ops::Range;
use std::sync::Arc;

use ddpm_data::{Dataset, ItemShape};
use ddpm_diffusion::pixels::to_pixel;
use ddpm_package::Sha256Hex;

/// Pictures per chunk of the digest.
const DIGEST_CHUNK: usize = 256;

/// N pictures `[C, H, W]`, C 1 or 3, of u8.
#[derive(Debug)]
pub struct PictureSet {
    shape: [usize; 3],
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Data(Arc<Dataset>),
    Pixels(Vec<u8>),
}

impl PictureSet {
    /// Takes all pictures of a data set, not mirrored; `None` for points.
    #[must_use]
    pub fn from_dataset(dataset: impl Into<Arc<Dataset>>) -> Option<Self> {
        let dataset = dataset.into();
        let ItemShape::Images { channels, height, width } = dataset.kind() else { return None };
        Some(Self { shape: [channels, height, width], storage: Storage::Data(dataset) })
    }

    /// Takes pictures as pixels, `[N, C, H, W]`.
    ///
    /// # Panics
    ///
    /// If they are not whole pictures.
    #[must_use]
    pub fn from_pixels(shape: [usize; 3], pixels: Vec<u8>) -> Self {
        let len = shape.iter().product::<usize>();
        assert!(len > 0 && pixels.len().is_multiple_of(len), "pixels of whole pictures");
        Self { shape, storage: Storage::Pixels(pixels) }
    }

    /// Takes samples at model scale, `[N, C, H, W]`, clipped and rounded to pixels.
    ///
    /// # Panics
    ///
    /// If they are not whole pictures.
    #[must_use]
    pub fn from_samples(shape: [usize; 3], samples: &[f32]) -> Self {
        Self::from_pixels(shape, samples.iter().copied().map(to_pixel).collect())
    }

    /// Returns `[C, H, W]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns N.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a set without pictures is refused before")]
    pub fn len(&self) -> usize {
        match &self.storage {
            Storage::Data(dataset) => dataset.len(),
            Storage::Pixels(pixels) => pixels.len() / self.shape.iter().product::<usize>(),
        }
    }

    /// Returns the pictures of a range, `[n, C, H, W]`.
    ///
    /// # Panics
    ///
    /// If the range is not within 0..N.
    #[must_use]
    pub fn pixels(&self, range: Range<usize>) -> Vec<u8> {
        let len = self.shape.iter().product::<usize>();
        match &self.storage {
            Storage::Pixels(pixels) => pixels[range.start * len..range.end * len].to_vec(),
            Storage::Data(dataset) => {
                let mut x_0 = vec![0.0; len];
                let mut pixels = Vec::with_capacity(range.len() * len);
                for i in range {
                    dataset.x_0(i, false, &mut x_0);
                    pixels.extend(x_0.iter().copied().map(to_pixel));
                }
                pixels
            }
        }
    }

    /// Returns the identity of the pictures and their order.
    #[must_use]
    pub fn digest(&self) -> Sha256Hex {
        let mut text = format!("{:?} {}\n", self.shape, self.len());
        for start in (0..self.len()).step_by(DIGEST_CHUNK) {
            let end = (start + DIGEST_CHUNK).min(self.len());
            text += Sha256Hex::of(&self.pixels(start..end)).as_str();
        }
        Sha256Hex::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use ddpm_data::{LoadOptions, Source, load};

    use super::*;

    #[test]
    fn a_data_set_and_its_samples_and_its_pixels_are_the_same_pictures() {
        let load = || load(&Source::Glyphs { size: 300 }, &LoadOptions::default()).unwrap();
        let (data, dataset) = (PictureSet::from_dataset(load()).unwrap(), load());
        let mut samples = vec![0.0; 300 * 768];
        for (i, sample) in samples.chunks_exact_mut(768).enumerate() {
            dataset.x_0(i, false, sample);
        }
        let samples = PictureSet::from_samples([3, 16, 16], &samples);
        let pixels = PictureSet::from_pixels([3, 16, 16], data.pixels(0..300));
        assert_eq!((data.len(), samples.len()), (300, 300));
        assert_eq!(Some(&data.pixels(7..8)[..]), dataset.pixels(7));
        assert_eq!(data.digest(), pixels.digest());
        assert_eq!(data.digest(), samples.digest());
    }

    #[test]
    fn another_picture_order_or_shape_is_another_digest() {
        let set = |shape, pixels: &[u8]| PictureSet::from_pixels(shape, pixels.to_vec()).digest();
        let first = set([1, 1, 2], &[1, 2, 3, 4]);
        assert_ne!(first, set([1, 1, 2], &[3, 4, 1, 2]));
        assert_ne!(first, set([1, 2, 1], &[1, 2, 3, 4]));
        assert_ne!(first, set([1, 1, 2], &[1, 2, 3, 5]));
    }
}
