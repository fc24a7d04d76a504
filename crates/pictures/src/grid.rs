//! Pictures of one size in a nearly square grid.

use crate::{Error, Picture};

/// Grey level between and around the cells.
const BACKGROUND: u8 = 32;

/// Arranges `cells` in rows, left to right; `None` stays empty.
///
/// * `scale`: side of the square that each pixel becomes.
/// * `padding`: pixels between and around the cells.
///
/// # Errors
///
/// [`Error`] if there is no picture, if sizes differ, or if the grid is too large.
pub fn grid(cells: &[Option<Picture>], scale: u32, padding: u32) -> Result<Picture, Error> {
    grid_of(cells, columns_for(cells.len()), scale, padding)
}

/// Arranges `cells` as [`grid`] does, in `columns` columns.
///
/// # Errors
///
/// As [`grid`], and if `columns` is 0.
pub fn grid_of(
    cells: &[Option<Picture>],
    columns: usize,
    scale: u32,
    padding: u32,
) -> Result<Picture, Error> {
    let first = cells.iter().flatten().next();
    let first = first.ok_or_else(|| Error("there is nothing to show".to_owned()))?;
    let size = |picture: &Picture| (picture.width(), picture.height(), picture.channels());
    if cells.iter().flatten().any(|cell| size(cell) != size(first)) {
        return Err(Error("the pictures of a grid have different sizes".to_owned()));
    }

    if columns == 0 {
        return Err(Error("a grid needs at least one column".to_owned()));
    }
    let rows = cells.len().div_ceil(columns);
    let (scale, padding) = (u64::from(scale), u64::from(padding));
    let pitch_x = u64::from(first.width()) * scale + padding;
    let pitch_y = u64::from(first.height()) * scale + padding;
    let background = vec![BACKGROUND; first.channels() as usize];
    let (width, height) = (columns as u64 * pitch_x + padding, rows as u64 * pitch_y + padding);
    let mut canvas = Picture::filled(width, height, &background)?;

    for (position, cell) in cells.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let x = padding + (position % columns) as u64 * pitch_x;
        let y = padding + (position / columns) as u64 * pitch_y;
        // `filled` has checked that the whole canvas fits into u32.
        canvas.paste(cell, x as u32, y as u32, scale as u32);
    }
    Ok(canvas)
}

/// Returns the smallest number of columns that is at least the number of rows.
fn columns_for(count: usize) -> usize {
    (1..).find(|side| side * side >= count).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: u8) -> Option<Picture> {
        Some(Picture::filled(1, 1, &[value]).unwrap())
    }

    #[test]
    fn three_cells_make_two_rows_of_two_with_an_empty_place() {
        let picture = grid(&[cell(1), None, cell(3)], 1, 1).unwrap();

        let b = BACKGROUND;
        let rows: Vec<&[u8]> = picture.pixels().chunks_exact(5).collect();
        assert_eq!(
            rows,
            [[b, b, b, b, b], [b, 1, b, b, b], [b, b, b, b, b], [b, 3, b, b, b], [b, b, b, b, b]]
        );
    }

    #[test]
    fn a_grid_is_nearly_square() {
        let columns: Vec<usize> = [1, 2, 4, 5, 9, 10, 64].map(columns_for).into();

        assert_eq!(columns, [1, 2, 2, 3, 3, 4, 8]);
    }

    #[test]
    fn scale_enlarges_the_cells_but_not_the_padding() {
        let picture = grid(&[cell(1), cell(2)], 8, 2).unwrap();

        assert_eq!((picture.width(), picture.height()), (2 + 8 + 2 + 8 + 2, 2 + 8 + 2));
    }

    #[test]
    fn different_sizes_and_no_picture_are_errors() {
        let wide = Some(Picture::filled(2, 1, &[0]).unwrap());

        assert!(grid(&[cell(0), wide], 1, 0).is_err());
        assert!(grid(&[None], 1, 0).is_err());
    }
}
