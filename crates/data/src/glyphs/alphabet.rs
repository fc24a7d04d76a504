//! The sixteen glyphs: digits are strokes of a round pen, shapes are filled polygons.
//!
//! Each is drawn upright around (0, 0), about 1.24 high in a picture that spans [-1, 1] with y
//! down.

use std::f32::consts::{PI, TAU};
use std::sync::LazyLock;

use super::outline::{Outline, Point};

/// Degrees between the points of a curve: fine enough to hide the corners in small pictures.
const CURVE_STEP: f32 = 20.0;

/// Returns the outline of a class, an index into [`CLASS_NAMES`](super::CLASS_NAMES).
pub(super) fn outline(class: usize) -> &'static Outline {
    static OUTLINES: LazyLock<[Outline; 16]> = LazyLock::new(|| {
        [
            zero(),
            one(),
            two(),
            three(),
            four(),
            five(),
            six(),
            seven(),
            eight(),
            nine(),
            circle(),
            square(),
            triangle(),
            plus(),
            star(),
            heart(),
        ]
    });
    &OUTLINES[class]
}

fn zero() -> Outline {
    Outline::Strokes(vec![arc([0.0, 0.0], [0.36, 0.62], 0.0, 360.0)])
}

fn one() -> Outline {
    let stem = vec![[-0.26, -0.34], [0.02, -0.62], [0.02, 0.62]];
    let foot = vec![[-0.26, 0.62], [0.30, 0.62]];
    Outline::Strokes(vec![stem, foot])
}

fn two() -> Outline {
    let bow = arc([0.0, -0.26], [0.36, 0.36], 190.0, 395.0);
    let foot = vec![[-0.36, 0.62], [0.38, 0.62]];
    Outline::Strokes(vec![[bow, foot].concat()])
}

fn three() -> Outline {
    let upper = arc([-0.02, -0.32], [0.33, 0.30], 205.0, 450.0);
    let lower = arc([-0.02, 0.30], [0.37, 0.32], 270.0, 515.0);
    Outline::Strokes(vec![[upper, lower].concat()])
}

fn four() -> Outline {
    Outline::Strokes(vec![vec![[0.16, 0.62], [0.16, -0.62], [-0.42, 0.24], [0.44, 0.24]]])
}

fn five() -> Outline {
    let top = vec![[0.32, -0.62], [-0.28, -0.62], [-0.32, -0.06]];
    let bow = arc([-0.02, 0.22], [0.37, 0.40], 235.0, 505.0);
    Outline::Strokes(vec![[top, bow].concat()])
}

fn six() -> Outline {
    Outline::Strokes(vec![stroke_of_six()])
}

fn stroke_of_six() -> Vec<Point> {
    let stem = arc([0.32, 0.24], [0.68, 0.86], 265.0, 180.0);
    let bowl = arc([0.0, 0.24], [0.36, 0.38], 180.0, 540.0);
    [stem, bowl].concat()
}

fn seven() -> Outline {
    Outline::Strokes(vec![vec![[-0.38, -0.62], [0.38, -0.62], [-0.10, 0.62]]])
}

fn eight() -> Outline {
    let upper = arc([0.0, -0.33], [0.30, 0.29], 90.0, 450.0);
    let lower = arc([0.0, 0.29], [0.38, 0.33], 270.0, 630.0);
    Outline::Strokes(vec![upper, lower])
}

/// Turns a six upside down.
fn nine() -> Outline {
    Outline::Strokes(vec![stroke_of_six().into_iter().map(|[x, y]| [-x, -y]).collect()])
}

fn circle() -> Outline {
    Outline::Solid(arc([0.0, 0.0], [0.6, 0.6], 0.0, 340.0))
}

fn square() -> Outline {
    Outline::Solid(vec![[-0.52, -0.52], [0.52, -0.52], [0.52, 0.52], [-0.52, 0.52]])
}

fn triangle() -> Outline {
    Outline::Solid(vec![[0.0, -0.62], [0.64, 0.5], [-0.64, 0.5]])
}

fn plus() -> Outline {
    let (near, far) = (0.2, 0.62);
    let arm = [[near, -near], [far, -near], [far, near], [near, near]];
    // Each arm is the previous one after a quarter turn; neighbours share a corner.
    let turn = |[x, y]: Point| [-y, x];
    let arms = std::iter::successors(Some(arm), |arm| Some(arm.map(turn))).take(4);
    Outline::Solid(arms.flat_map(|arm| arm[..3].to_vec()).collect())
}

fn star() -> Outline {
    let tip = |i: usize| {
        let radius = if i.is_multiple_of(2) { 0.76 } else { 0.34 };
        let (sin, cos) = (i as f32 * PI / 5.0).sin_cos();
        [radius * sin, 0.04 - radius * cos]
    };
    Outline::Solid((0..10).map(tip).collect())
}

/// Traces the well-known curve x = 16 sin³ t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, which is
/// 32 wide.
fn heart() -> Outline {
    let point = |i: usize| {
        let t = i as f32 / 36.0 * TAU;
        let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
        [16.0 * t.sin().powi(3) / 25.0, -(y + 2.5) / 25.0]
    };
    Outline::Solid((0..36).map(point).collect())
}

/// Returns an arc of an ellipse; angles are in degrees, 0 to the right, 90 down, so growing angles
/// turn clockwise.
fn arc(centre: Point, radii: Point, from: f32, to: f32) -> Vec<Point> {
    let steps = ((to - from).abs() / CURVE_STEP).ceil();
    (0..=steps as usize)
        .map(|i| {
            let (sin, cos) = (from + (to - from) * i as f32 / steps).to_radians().sin_cos();
            [centre[0] + radii[0] * cos, centre[1] + radii[1] * sin]
        })
        .collect()
}
