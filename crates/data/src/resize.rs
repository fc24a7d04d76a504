//! Bilinear resizing, bit for bit like Pillow's, which the reference uses.
//!
//! The filter is a triangle as wide as two pixels of the smaller picture, so shrinking averages
//! (antialiases). Rows are resized first, then columns, both in integers: weights are multiples of
//! 2^-22, and the first pass is rounded to u8 before the second. Other libraries compute in
//! floating point and sometimes differ by one grey level; equal pixels allow comparing a training
//! run with the reference number by number.
//!
//! Pillow's documentation:
//! <https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters>.

/// Fraction bits of a weight: 8 for the pixel and 2 of headroom leave 22 of 32.
const FRACTION_BITS: u32 = 22;
const ONE: f64 = (1 << FRACTION_BITS) as f64;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The source pixels of one result pixel: those from `first` on, each with its weight.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes a square of `from` × `from` pixels, row after row, to `to` × `to`.
///
/// # Panics
///
/// If `from` or `to` is 0.
pub(crate) fn resize_square(square: &[u8], from: usize, to: usize) -> Vec<u8> {
    let windows = windows(from, to);
    let rows = square.chunks_exact(from);
    let narrow: Vec<u8> =
        rows.flat_map(|row| windows.iter().map(|window| window.apply(|i| row[i]))).collect();
    let mut resized = Vec::with_capacity(to * to);
    for window in &windows {
        resized.extend((0..to).map(|x| window.apply(|i| narrow[i * to + x])));
    }
    resized
}

impl Window {
    /// Computes the weighted sum, rounded to u8.
    fn apply(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        let terms = (self.first..).zip(&self.weights);
        let sum: i32 = terms.map(|(i, weight)| i32::from(pixel(i)) * weight).sum();
        ((sum + HALF) >> FRACTION_BITS).clamp(0, 255) as u8
    }
}

fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // Enlarging interpolates between neighbours; only shrinking widens the filter.
    let support = scale.max(1.0);
    let window = |x: usize| {
        let centre = (x as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let height = |i: usize| (1.0 - ((i as f64 - centre + 0.5) / support).abs()).max(0.0);
        let heights: Vec<f64> = (first..end).map(height).collect();
        let total: f64 = heights.iter().sum();
        let weights = heights.iter().map(|height| (height / total * ONE + 0.5) as i32).collect();
        Window { first, weights }
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_weighs_four_pixels_by_their_distance() {
        // Inside, the weights of the triangle are 1, 3, 3, 1 eighths; at the edge the first is
        // missing.
        let step = [[0, 0, 0, 0, 80, 80, 80, 80]; 8].concat();
        let halved = resize_square(&step, 8, 4);
        assert_eq!(halved[..4], [0, 10, 70, 80]);
        assert_eq!(halved[4..8], halved[..4]);
    }

    #[test]
    fn doubling_interpolates_between_neighbours_and_repeats_the_edge() {
        let doubled = resize_square(&[0, 80, 0, 80], 2, 4);
        assert_eq!(doubled[..4], [0, 20, 60, 80]);
        let turned = resize_square(&[0, 0, 80, 80], 2, 4);
        assert_eq!([turned[0], turned[4], turned[8], turned[12]], [0, 20, 60, 80]);
    }

    #[test]
    fn the_same_size_is_the_same_picture_and_white_stays_white() {
        let square: Vec<u8> = (0..=255).collect();
        assert_eq!(resize_square(&square, 16, 16), square);
        for to in [1, 5, 40] {
            assert!(resize_square(&[255; 17 * 17], 17, to).iter().all(|&pixel| pixel == 255));
        }
    }
}
