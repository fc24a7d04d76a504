//! Signed distances: how far a point lies from the ink.
//!
//! Coordinates: the picture spans [-1, 1], x to the right, y down.

/// (x, y).
pub(super) type Point = [f32; 2];

/// Half the width of the pen: strokes are 2 pixels of 16 wide.
const PEN: f32 = 0.13;

/// The inked region.
pub(super) enum Outline {
    /// Everything within [`PEN`] of a chain of points.
    Strokes(Vec<Vec<Point>>),
    /// The inside of a closed polygon.
    Solid(Vec<Point>),
}

impl Outline {
    /// Returns the distance from `point` to the edge of the ink; negative inside.
    pub(super) fn signed_distance(&self, point: Point) -> f32 {
        match self {
            Self::Strokes(strokes) => {
                let segments = strokes.iter().flat_map(|stroke| stroke.windows(2));
                nearest(point, segments.map(|ends| (ends[0], ends[1]))) - PEN
            }
            Self::Solid(corners) => {
                let distance = nearest(point, edges(corners));
                if is_inside(point, corners) { -distance } else { distance }
            }
        }
    }
}

fn nearest(point: Point, segments: impl Iterator<Item = (Point, Point)>) -> f32 {
    segments.map(|(a, b)| squared_distance(point, a, b)).fold(f32::INFINITY, f32::min).sqrt()
}

/// Returns the squared distance from a point to the segment from `a` to `b`.
fn squared_distance(point: Point, a: Point, b: Point) -> f32 {
    let (along_x, along_y) = (b[0] - a[0], b[1] - a[1]);
    let (x, y) = (point[0] - a[0], point[1] - a[1]);
    let length_squared = along_x * along_x + along_y * along_y;
    let share = ((x * along_x + y * along_y) / length_squared).clamp(0.0, 1.0);
    (x - share * along_x).powi(2) + (y - share * along_y).powi(2)
}

/// Counts the edges that a ray to the right crosses; an odd number means inside.
fn is_inside([x, y]: Point, corners: &[Point]) -> bool {
    let crosses = |(a, b): &(Point, Point)| {
        (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
    };
    edges(corners).filter(crosses).count() % 2 == 1
}

fn edges(corners: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    corners.iter().copied().zip(corners.iter().copied().cycle().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_to_a_square_are_those_of_geometry() {
        let side = 0.52;
        let square =
            Outline::Solid(vec![[-side, -side], [side, -side], [side, side], [-side, side]]);
        for (point, expected) in [
            ([0.0, 0.0], -0.52),
            ([0.52, 0.1], 0.0),
            ([0.72, 0.0], 0.2),
            ([0.82, 0.92], 0.5),
            ([0.4, 0.0], -0.12),
        ] {
            assert!((square.signed_distance(point) - expected).abs() < 1e-6, "{point:?}");
        }
    }

    #[test]
    fn distances_to_a_stroke_are_measured_from_the_edge_of_the_pen() {
        let stroke = Outline::Strokes(vec![vec![[-0.5, 0.0], [0.5, 0.0]]]);
        assert!((stroke.signed_distance([0.0, 0.0]) + PEN).abs() < 1e-6);
        assert!((stroke.signed_distance([0.2, 0.4]) - (0.4 - PEN)).abs() < 1e-6);
        assert!((stroke.signed_distance([0.8, 0.4]) - (0.5 - PEN)).abs() < 1e-6);
    }

    #[test]
    fn a_notch_is_outside() {
        // A square whose top edge is cut down to its centre.
        let notched =
            Outline::Solid(vec![[-0.6, -0.6], [0.0, 0.0], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6]]);
        assert!(
            notched.signed_distance([0.0, 0.3]) < 0.0 && notched.signed_distance([0.5, -0.3]) < 0.0
        );
        assert!((notched.signed_distance([0.0, -0.2]) - 0.02_f32.sqrt()).abs() < 1e-6);
    }
}
