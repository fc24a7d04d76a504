//! Draws samples as one PNG file with their settings in text chunks: pictures in a grid, points as
//! a scatter plot.

use std::io;

use crate::{Picture, View, grid, scatter, write_png};

/// Pixels between the pictures of a grid.
const PADDING: u32 = 2;
/// Tiny pictures are enlarged by a whole number to at least this side.
const MIN_SIDE: u32 = 32;
/// Side of a scatter plot, in pixels.
const SCATTER_SIDE: u32 = 512;

/// Draws `samples` as one picture and returns the file.
///
/// * `samples`: `[N, …shape]` at model scale, N at least 1.
/// * `shape`: `[C, H, W]` with C 1 or 3, or `[2]`.
/// * `text`: keywords (1 to 79 Latin-1 characters) and values.
///
/// # Errors
///
/// If the samples are neither pictures nor points, or too many for one picture.
pub fn png(samples: &[f32], shape: &[i64], text: &[(String, String)]) -> io::Result<Vec<u8>> {
    let picture = match *shape {
        [channels, height, width] => pictures(samples, [channels, height, width]),
        _ => points(samples),
    };
    let mut file = Vec::new();
    write_png(&mut file, &picture.map_err(io::Error::other)?, text)?;
    Ok(file)
}

/// Draws points in a part of the plane and returns the file.
///
/// * `samples`: `[N, 2]` at model scale.
/// * `text`: keywords (1 to 79 Latin-1 characters) and values.
///
/// # Errors
///
/// The error of encoding the file.
pub fn scatter_png(samples: &[f32], view: &View, text: &[(String, String)]) -> io::Result<Vec<u8>> {
    let (points, _) = samples.as_chunks::<2>();
    let picture = scatter(points, view, SCATTER_SIDE).map_err(io::Error::other)?;
    let mut file = Vec::new();
    write_png(&mut file, &picture, text)?;
    Ok(file)
}

fn pictures(samples: &[f32], shape: [i64; 3]) -> Result<Picture, crate::Error> {
    let shape = shape.map(|extent| extent as u32);
    let len = shape.iter().product::<u32>() as usize;
    let cell = |sample| Picture::from_values(shape, sample).map(Some);
    let cells = samples.chunks_exact(len).map(cell).collect::<Result<Vec<_>, _>>()?;
    grid(&cells, MIN_SIDE.div_ceil(shape[1].max(shape[2])), PADDING)
}

fn points(samples: &[f32]) -> Result<Picture, crate::Error> {
    let (points, _) = samples.as_chunks::<2>();
    scatter(points, &View::around(points), SCATTER_SIDE)
}
