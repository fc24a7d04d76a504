//! Two distinguishable colours: vivid ink on a dark ground.

use crate::draws::ItemDraws;

/// sRGB, each channel in [0, 1].
pub(super) type Rgb = [f32; 3];

/// Least luma of the ink and largest of the ground: they differ by at least 0.25.
const INK_LUMA: f32 = 0.45;
const GROUND_LUMA: f32 = 0.2;

/// Draws a bright colour of any hue; dark hues such as blue are lightened until their luma is
/// [`INK_LUMA`].
pub(super) fn vivid_ink(draws: &mut ItemDraws) -> Rgb {
    let hue = draws.uniform(0.0, 6.0) as f32;
    let saturation = draws.uniform(0.7, 1.0) as f32;
    let colour = from_hue(hue, saturation, 1.0);
    let missing = (INK_LUMA - luma(colour)) / (1.0 - luma(colour));
    blend(colour, [1.0; 3], missing.max(0.0))
}

/// Draws a dark colour of any hue; its value bounds its luma by [`GROUND_LUMA`].
pub(super) fn dark_ground(draws: &mut ItemDraws) -> Rgb {
    let hue = draws.uniform(0.0, 6.0) as f32;
    let saturation = draws.uniform(0.3, 0.8) as f32;
    let value = draws.uniform(0.05, f64::from(GROUND_LUMA)) as f32;
    from_hue(hue, saturation, value)
}

/// Blends two colours: `share` = 0 is `from`, 1 is `to`.
pub(super) fn blend(from: Rgb, to: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// Converts HSV to RGB; `hue` in [0, 6): red, yellow, green, cyan, blue, magenta.
fn from_hue(hue: f32, saturation: f32, value: f32) -> Rgb {
    // A channel is full within one sixth of its own hue and falls to zero over the next sixth.
    [5.0, 3.0, 1.0].map(|shift: f32| {
        let around = (shift + hue) % 6.0;
        value - value * saturation * around.min(4.0 - around).clamp(0.0, 1.0)
    })
}

/// Computes luma with the Rec. 709 weights.
fn luma([red, green, blue]: Rgb) -> f32 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    #[test]
    fn hues_are_the_colours_of_the_circle() {
        let primaries = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]];
        for (hue, expected) in primaries.into_iter().enumerate() {
            assert_eq!(
                from_hue(hue as f32, 1.0, 1.0),
                expected.map(|channel| channel as f32),
                "{hue}"
            );
        }
        assert_eq!(from_hue(2.0, 0.5, 0.5), [0.25, 0.5, 0.25]);
    }

    #[test]
    fn ink_is_always_lighter_than_the_ground() {
        for i in 0..5_000 {
            let mut draws = ItemDraws::new(0, Split::Train, i);
            let (ink, ground) = (vivid_ink(&mut draws), dark_ground(&mut draws));
            assert!(
                luma(ink) > INK_LUMA - 1e-5 && luma(ground) < GROUND_LUMA,
                "{ink:?} {ground:?}"
            );
            assert!(
                ink.iter().chain(&ground).all(|channel| (0.0..=1.0).contains(channel)),
                "{ink:?} {ground:?}"
            );
        }
    }
}
