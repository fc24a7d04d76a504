//! Converts between the model's scale, channels first in [−1, 1], and pixels, u8 in
//! [0, 255] with channels last. Pixels exist only at the edges of the system.

/// Computes round(x · 127.5 + 127.5), clamped to 0 ..= 255.
#[must_use]
pub fn to_pixel(x: f32) -> u8 {
    // `as` saturates, and maps NaN to 0.
    (x * 127.5 + 127.5).round() as u8
}

/// Computes (p / 255 − 0.5) / 0.5.
#[must_use]
pub fn from_pixel(pixel: u8) -> f32 {
    (f32::from(pixel) / 255.0 - 0.5) / 0.5
}

/// Appends `[C, H, W]` in the model's scale to `out` as `[H, W, C]` pixels.
///
/// # Panics
///
/// If `x_0.len()` is not a multiple of `channels`.
pub fn to_hwc(x_0: &[f32], channels: usize, out: &mut Vec<u8>) {
    let area = x_0.len() / channels;
    assert_eq!(area * channels, x_0.len(), "elements of {channels} whole channels");
    out.reserve(x_0.len());
    for pixel in 0..area {
        out.extend((0..channels).map(|channel| to_pixel(x_0[channel * area + pixel])));
    }
}

/// Converts `[H, W, C]` pixels to `[C, H, W]` in the model's scale.
///
/// # Panics
///
/// If `pixels.len()` is not a multiple of `channels`.
#[must_use]
pub fn from_hwc(pixels: &[u8], channels: usize) -> Vec<f32> {
    let area = pixels.len() / channels;
    assert_eq!(area * channels, pixels.len(), "elements of {channels} whole channels");
    let plane = |channel| pixels.iter().skip(channel).step_by(channels);
    (0..channels).flat_map(plane).map(|pixel| from_pixel(*pixel)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_survives_the_way_there_and_back() {
        for pixel in 0..=255 {
            assert_eq!(to_pixel(from_pixel(pixel)), pixel);
        }
    }

    #[test]
    fn values_outside_the_range_saturate() {
        assert_eq!((to_pixel(-7.0), to_pixel(7.0), to_pixel(f32::NAN)), (0, 255, 0));
    }

    #[test]
    fn channels_move_last() {
        let mut out = Vec::new();
        to_hwc(&[-1.0, 1.0, 0.0, 1.0, 1.0, -1.0], 3, &mut out);
        assert_eq!(out, [0, 128, 255, 255, 255, 0]);
        let back = from_hwc(&out, 3);
        assert_eq!(back.into_iter().map(to_pixel).collect::<Vec<_>>(), [0, 255, 128, 255, 255, 0]);
    }
}
