//! Draws points of the plane as a glowing scatter plot on a dark background.
//!
//! Every point is an anti-aliased disc that adds to a density, which selects the colour. Single
//! points stay visible, and dense regions show the shape of the distribution instead of one
//! saturated blob.

use crate::{Error, Picture};

/// Colours from empty to dense; equally spaced.
const RAMP: [[f32; 3]; 5] = [
    [13.0, 16.0, 30.0],
    [46.0, 66.0, 150.0],
    [64.0, 156.0, 214.0],
    [150.0, 222.0, 200.0],
    [253.0, 250.0, 224.0],
];
/// A single disc reaches 1 - exp(-GAIN) of the ramp: bright enough to see.
const GAIN: f32 = 0.8;
/// Free margin on each side, as a share of the points' extent.
const MARGIN: f32 = 0.06;
/// On each side, the view omits the farthest point in this many.
const OUTLIER_OF: usize = 500;

/// A square part of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Centre of the square.
    pub centre: [f32; 2],
    /// Half the side of the square.
    pub half_side: f32,
}

impl View {
    /// Returns the square around all `points` except the farthest 1 in 500 on each side, with a
    /// margin. Ignores points that are not finite.
    #[must_use]
    pub fn around(points: &[[f32; 2]]) -> Self {
        let [(left, right), (bottom, top)] = [0, 1].map(|axis| extent(points, axis));
        let half_side = ((right - left).max(top - bottom) / 2.0) * (1.0 + 2.0 * MARGIN);
        // A single point, or none, has no extent; any positive one will do.
        let half_side = if half_side > 0.0 { half_side } else { 1.0 };
        Self { centre: [left.midpoint(right), bottom.midpoint(top)], half_side }
    }
}

fn extent(points: &[[f32; 2]], axis: usize) -> (f32, f32) {
    let mut along: Vec<f32> =
        points.iter().map(|point| point[axis]).filter(|x| x.is_finite()).collect();
    along.sort_by(f32::total_cmp);
    let beyond = along.len() / OUTLIER_OF;
    match &along[beyond..along.len() - beyond] {
        [] => (0.0, 0.0),
        kept => (kept[0], kept[kept.len() - 1]),
    }
}

/// Draws the `points` in `view`, y upwards, as a square picture of `side` pixels.
///
/// # Errors
///
/// [`Error`] if `side` is 0 or too large.
pub fn scatter(points: &[[f32; 2]], view: &View, side: u32) -> Result<Picture, Error> {
    let mut picture = Picture::filled(u64::from(side), u64::from(side), &[0; 3])?;
    let mut density = Density::new(side as usize);
    let radius = radius(points.len(), side);
    let to_pixels = side as f32 / (2.0 * view.half_side);
    for [x, y] in points {
        let column = (x - view.centre[0] + view.half_side) * to_pixels;
        let row = (view.centre[1] + view.half_side - y) * to_pixels;
        density.add_disc(column, row, radius);
    }
    let (pixels, _) = picture.pixels_mut().as_chunks_mut::<3>();
    for (pixel, density) in pixels.iter_mut().zip(density.cells) {
        *pixel = colour(density);
    }
    Ok(picture)
}

/// Returns the radius of a disc in pixels, smaller for more points.
fn radius(count: usize, side: u32) -> f32 {
    let crowding = (50.0 / count.max(1) as f32).powf(0.25);
    (5.0 * crowding).clamp(1.2, 4.0) * side as f32 / 480.0
}

/// A square of summed coverages.
struct Density {
    side: usize,
    cells: Vec<f32>,
}

impl Density {
    fn new(side: usize) -> Self {
        Self { side, cells: vec![0.0; side * side] }
    }

    /// Adds 1 to the cells inside the disc, less on its edge. Clips the disc to the square; a NaN
    /// centre adds nothing.
    fn add_disc(&mut self, x: f32, y: f32, radius: f32) {
        let reach = radius + 1.0;
        // The casts saturate and map NaN to 0.
        let span = |centre: f32| {
            let first = (centre - reach).floor().max(0.0) as usize;
            let end = (centre + reach).ceil().max(0.0) as usize;
            first..end.min(self.side)
        };
        let (rows, columns) = (span(y), span(x));
        for row in rows {
            for column in columns.clone() {
                let (dx, dy) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
                let coverage = (radius + 0.5 - dx.hypot(dy)).clamp(0.0, 1.0);
                self.cells[row * self.side + column] += coverage;
            }
        }
    }
}

fn colour(density: f32) -> [u8; 3] {
    let place = (1.0 - (-GAIN * density).exp()) * (RAMP.len() - 1) as f32;
    let lower = (place as usize).min(RAMP.len() - 2);
    let share = place - lower as f32;
    let mix =
        |channel: usize| RAMP[lower][channel] * (1.0 - share) + RAMP[lower + 1][channel] * share;
    [0, 1, 2].map(|channel| mix(channel).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_square_around_the_points() {
        let view = View::around(&[[-1.0, 5.0], [3.0, 6.0], [f32::NAN, f32::INFINITY]]);

        assert_eq!(view.centre, [1.0, 5.5]);
        assert!((view.half_side - 2.0 * 1.12).abs() < 1e-6);
    }

    #[test]
    fn one_far_point_in_a_thousand_does_not_shrink_the_picture() {
        let mut points: Vec<[f32; 2]> = (0..1000).map(|i| [i as f32 / 999.0, 0.0]).collect();
        points.push([1e6, 0.0]);

        assert!(View::around(&points).half_side < 0.6);
    }

    #[test]
    fn a_point_is_drawn_at_its_coordinates() {
        let view = View { centre: [0.0, 0.0], half_side: 1.0 };

        let picture = scatter(&[[0.5, 0.5]], &view, 40).unwrap();

        let brightness = |pixel: &[u8]| pixel.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let pixels: Vec<u32> = picture.pixels().chunks_exact(3).map(brightness).collect();
        let brightest = (0..pixels.len()).max_by_key(|&at| pixels[at]).unwrap();
        // x = 0.5 lies between columns 29 and 30, y = 0.5 between rows 9 and 10.
        let (row, column) = (brightest / 40, brightest % 40);
        assert!((9..=10).contains(&row) && (29..=30).contains(&column), "{row}, {column}");
    }

    #[test]
    fn points_outside_the_view_and_nonfinite_points_draw_nothing() {
        let view = View { centre: [0.0, 0.0], half_side: 1.0 };
        let wild = [[9.0, 9.0], [-9.0, -9.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]];

        assert_eq!(scatter(&wild, &view, 24).unwrap(), scatter(&[], &view, 24).unwrap());
    }
}
