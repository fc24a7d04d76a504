//! Writes arrays of version 1.0 in C order.

use std::io::{self, Write};

use super::header::Header;

/// Writes an array.
///
/// * `descr`: type of an element, such as `<f8`.
/// * `data`: the elements that fill the shape, little-endian.
///
/// # Errors
///
/// The error of `out`.
pub fn write(out: &mut impl Write, descr: &str, shape: &[usize], data: &[u8]) -> io::Result<()> {
    let header = Header { descr: descr.to_owned(), shape: shape.to_vec(), fortran_order: false };
    header.write(out)?;
    out.write_all(data)
}

/// Writes an f32 array of `rows.len()` rows of shape `shape`.
///
/// # Errors
///
/// `InvalidInput` if a row does not fill the shape; else the error of `out`.
pub fn write_rows(out: &mut impl Write, shape: &[u32], rows: &[&[f32]]) -> io::Result<()> {
    let row_shape = shape.iter().map(|&side| side as usize);
    let elements: usize = row_shape.clone().product();
    if rows.iter().any(|row| row.len() != elements) {
        let message = format!("a row does not fill the shape {shape:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    write(out, "<f4", &[rows.len()].into_iter().chain(row_shape).collect::<Vec<_>>(), &[])?;
    rows.iter().copied().flatten().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::{Array, Elements};

    #[test]
    fn rows_read_back_as_one_array() {
        let mut file = Vec::new();
        write_rows(&mut file, &[2], &[&[1.0, -2.5], &[0.1, 3.0], &[7.0, 8.0]]).unwrap();

        let array = Array::read(&mut &file[..]).unwrap();

        assert_eq!(array.shape, [3, 2]);
        assert_eq!(array.elements, Elements::Floats(vec![1.0, -2.5, 0.1, 3.0, 7.0, 8.0]));
    }

    #[test]
    fn a_row_of_another_length_is_refused() {
        assert!(write_rows(&mut Vec::new(), &[3], &[&[1.0]]).is_err());
    }
}
