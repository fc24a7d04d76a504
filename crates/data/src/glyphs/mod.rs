//! Glyphs: ten digits and six shapes in colour, drawn procedurally.
//!
//! A class-conditional set for small networks that needs no download: 16×16 RGB, one vivid glyph on
//! a dark ground in random pose and colours. Glyph i is a pure function of (seed, split, i).
//!
//! Glyphs are drawn from signed distances: `alphabet` holds the outlines, `outline` computes how
//! far a point lies from the ink, one pixel of distance around zero is the antialiased edge, and
//! `colour` picks the two colours to blend.

mod alphabet;
mod colour;
mod outline;

use crate::Split;
use crate::draws::ItemDraws;
use colour::{Rgb, blend, dark_ground, vivid_ink};
use outline::{Outline, Point};

/// Default side of a glyph in pixels.
pub(crate) const SIZE: usize = 16;

/// Names of the classes, in the order of their numbers: class d is the digit d.
pub const CLASS_NAMES: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "circle", "square", "triangle", "plus",
    "star", "heart",
];

/// One drawn glyph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glyph {
    /// Class, an index into [`CLASS_NAMES`].
    pub class: usize,
    /// `[3, size, size]`, u8 in CHW order.
    pub pixels: Vec<u8>,
}

/// Draws glyph `index`: classes are uniform, pose and colours independent of the class.
///
/// * `size`: side of the picture in pixels; the glyph scales with it.
#[must_use]
pub fn draw(seed: u64, split: Split, index: usize, size: usize) -> Glyph {
    let mut draws = ItemDraws::new(seed, split, index);
    let class = draws.below(CLASS_NAMES.len());
    let pose = Pose::random(&mut draws);
    let ink = vivid_ink(&mut draws);
    let ground = dark_ground(&mut draws);
    Glyph { class, pixels: render(alphabet::outline(class), &pose, ink, ground, size) }
}

/// Where the glyph lies in the picture, which spans [-1, 1] in both directions, y pointing down.
struct Pose {
    cos: f32,
    sin: f32,
    scale: f32,
    offset: Point,
}

impl Pose {
    /// Draws a pose within ±12°, sizes 0.85 to 1.1 and shifts of one pixel in sixteen: 6 and 9 stay
    /// distinct, and nothing leaves the picture.
    fn random(draws: &mut ItemDraws) -> Self {
        let angle = draws.uniform(-12.0, 12.0).to_radians();
        let scale = draws.uniform(0.85, 1.1) as f32;
        let mut shift = || draws.uniform(-1.0, 1.0) as f32 * 2.0 / SIZE as f32;
        let offset = [shift(), shift()];
        Self { cos: angle.cos() as f32, sin: angle.sin() as f32, scale, offset }
    }

    /// Maps a point of the picture back to the upright glyph.
    fn undo(&self, [x, y]: Point) -> Point {
        let (x, y) = ((x - self.offset[0]) / self.scale, (y - self.offset[1]) / self.scale);
        [self.cos * x + self.sin * y, self.cos * y - self.sin * x]
    }
}

fn render(outline: &Outline, pose: &Pose, ink: Rgb, ground: Rgb, size: usize) -> Vec<u8> {
    let plane = size * size;
    let pixel = 2.0 / size as f32;
    let centre = |i: usize| (i as f32 + 0.5) * pixel - 1.0;
    let mut pixels = vec![0; 3 * plane];
    for at in 0..plane {
        let point = pose.undo([centre(at % size), centre(at / size)]);
        let distance = outline.signed_distance(point) * pose.scale / pixel;
        let rgb = blend(ground, ink, (0.5 - distance).clamp(0.0, 1.0));
        for (channel, value) in rgb.into_iter().enumerate() {
            pixels[channel * plane + at] = (value * 255.0).round() as u8;
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upright(class: usize, size: usize) -> Vec<u8> {
        let pose = Pose { cos: 1.0, sin: 0.0, scale: 1.0, offset: [0.0, 0.0] };
        let picture = render(alphabet::outline(class), &pose, [1.0; 3], [0.0; 3], size);
        picture[..size * size].to_vec()
    }

    fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64
    }

    #[test]
    fn a_glyph_is_a_pure_function_of_seed_split_and_index() {
        assert_eq!(draw(3, Split::Train, 8, SIZE), draw(3, Split::Train, 8, SIZE));
        assert_ne!(draw(3, Split::Train, 8, SIZE), draw(3, Split::Train, 9, SIZE));
        assert_ne!(draw(3, Split::Train, 8, SIZE), draw(4, Split::Train, 8, SIZE));
        assert_ne!(draw(3, Split::Train, 8, SIZE), draw(3, Split::Test, 8, SIZE));
    }

    #[test]
    fn all_classes_look_different() {
        let pictures: Vec<_> = (0..CLASS_NAMES.len()).map(|class| upright(class, SIZE)).collect();
        for (a, first) in pictures.iter().enumerate() {
            for (b, second) in pictures.iter().enumerate().skip(a + 1) {
                let difference = mean_difference(first, second);
                assert!(
                    difference > 12.0,
                    "{} and {}: {difference}",
                    CLASS_NAMES[a],
                    CLASS_NAMES[b]
                );
            }
        }
    }

    #[test]
    fn a_nine_is_a_six_upside_down() {
        let mut six = upright(6, SIZE);
        six.reverse();
        assert!(mean_difference(&six, &upright(9, SIZE)) < 0.1);
    }

    #[test]
    fn no_glyph_reaches_the_corners() {
        for i in 0..400 {
            let Glyph { class, pixels } = draw(0, Split::Train, i, SIZE);
            let (first, last) = (0, SIZE * SIZE - 1);
            for corner in [SIZE - 1, SIZE * (SIZE - 1), last] {
                assert_eq!(pixels[corner], pixels[first], "glyph {i}, {}", CLASS_NAMES[class]);
            }
        }
    }

    #[test]
    fn a_larger_picture_shows_the_same_glyph() {
        let (small, large) = (upright(3, 16), upright(3, 64));
        let shrunk: Vec<u8> = (0..256)
            .map(|at| {
                let (x, y) = (at % 16 * 4, at / 16 * 4);
                let block = (0..16).map(|k| u32::from(large[(y + k / 4) * 64 + x + k % 4]));
                (block.sum::<u32>() / 16) as u8
            })
            .collect();
        assert!(mean_difference(&small, &shrunk) < 4.0, "{}", mean_difference(&small, &shrunk));
    }

    #[test]
    fn every_class_is_drawn_equally_often() {
        let mut counts = [0_usize; 16];
        (0..1600).for_each(|i| counts[draw(1, Split::Train, i, 1).class] += 1);
        // A class is binomial with mean 100 and standard deviation 9.7.
        assert!(counts.iter().all(|count| count.abs_diff(100) < 49), "{counts:?}");
    }
}
