//! Arrays for NumPy: format 1.0, little-endian f4, C order.

use std::io::{self, Write};

/// Magic, version 1.0; then two bytes of header length.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Data begins at a multiple of this.
const ALIGNMENT: usize = 64;

/// Writes an array of `rows.len()` rows of `shape`.
///
/// # Errors
///
/// `InvalidInput` if a row does not fill the shape; else what `out` fails with.
///
/// # Source
///
/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>
pub fn write_npy(mut out: impl Write, shape: &[u32], rows: &[&[f32]]) -> io::Result<()> {
    let elements: usize = shape.iter().map(|&side| side as usize).product();
    if rows.iter().any(|row| row.len() != elements) {
        let message = format!("a row does not fill the shape {shape:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let header = header(shape, rows.len());
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(MAGIC)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    rows.iter().copied().flatten().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// The Python literal, padded with spaces, with a line feed at its end.
fn header(shape: &[u32], rows: usize) -> String {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let literal = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {}), }}",
        sides.trim_end_matches(", ")
    );
    let before = MAGIC.len() + 2;
    let whole = (before + literal.len() + 1).next_multiple_of(ALIGNMENT);
    format!("{literal:<width$}\n", width = whole - before - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_reads_back_by_the_rules_of_the_format() {
        let mut file = Vec::new();
        write_npy(&mut file, &[2], &[&[1.0, -2.5], &[0.0, 3.0], &[7.0, 8.0]]).unwrap();

        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        let end = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
        assert_eq!(end % 64, 0);
        let header = std::str::from_utf8(&file[10..end]).unwrap();
        let literal = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
        assert_eq!(header.trim_end(), literal);
        assert!(header.ends_with('\n'));
        let (words, _) = file[end..].as_chunks::<4>();
        let values: Vec<f32> = words.iter().copied().map(f32::from_le_bytes).collect();
        assert_eq!(values, [1.0, -2.5, 0.0, 3.0, 7.0, 8.0]);
    }

    #[test]
    fn a_row_of_another_length_is_refused() {
        assert!(write_npy(Vec::new(), &[3], &[&[1.0]]).is_err());
    }
}
