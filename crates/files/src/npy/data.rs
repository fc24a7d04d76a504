//! The elements behind a header.

use std::io::{self, Read};

use super::header::{Header, invalid, tuple};

/// Reads the elements of an array of `<f8` or `<f4`, to the end of `input`.
///
/// # Errors
///
/// `InvalidData` if the type differs or they do not fill the shape; else the error of `input`.
pub fn read_floats(input: &mut dyn Read, header: &Header) -> io::Result<Vec<f64>> {
    match header.descr.as_str() {
        "<f8" => {
            let words = read_words(input, header)?;
            Ok(words.into_iter().map(f64::from_le_bytes).collect())
        }
        "<f4" => {
            let words = read_words(input, header)?;
            Ok(words.into_iter().map(|word| f32::from_le_bytes(word).into()).collect())
        }
        other => Err(invalid(format!("has elements of type {other:?}, must be <f8 or <f4"))),
    }
}

/// Reads one `<i8` or `<u8`, to the end of `input`.
///
/// # Errors
///
/// As [`read_floats`], and `InvalidData` if it is negative.
pub fn read_count(input: &mut dyn Read, header: &Header) -> io::Result<u64> {
    if !header.shape.is_empty() || !["<i8", "<u8"].contains(&header.descr.as_str()) {
        return Err(invalid("must be one integer of type <i8"));
    }
    // An empty shape has one element.
    let value = read_words(input, header)?.into_iter().map(i64::from_le_bytes).sum::<i64>();
    u64::try_from(value).map_err(|_| invalid(format!("is {value}, must not be negative")))
}

/// Reads one string, `<U…` or `|S…` of at most 4096 characters, to the end of `input`.
///
/// # Errors
///
/// As [`read_floats`].
pub fn read_text(input: &mut dyn Read, header: &Header) -> io::Result<String> {
    let fault = || invalid("must be one string of at most 4096 characters");
    let (unit, length) = header.descr.split_at_checked(2).ok_or_else(fault)?;
    let length = length.parse().ok().filter(|&length: &usize| length <= 4096);
    let length = length.filter(|_| header.shape.is_empty()).ok_or_else(fault)?;
    let text: Option<String> = match unit {
        "<U" => {
            let bytes = read_whole(input, header, 4 * length)?;
            let (words, _) = bytes.as_chunks::<4>();
            words.iter().map(|word| char::from_u32(u32::from_le_bytes(*word))).collect()
        }
        "|S" => String::from_utf8(read_whole(input, header, length)?).ok(),
        _ => None,
    };
    // NumPy pads strings with zeros.
    Ok(text.ok_or_else(fault)?.trim_end_matches('\0').to_owned())
}

/// Reads all elements of N bytes each, to the end of `input`.
pub(super) fn read_words<const N: usize>(
    input: &mut dyn Read,
    header: &Header,
) -> io::Result<Vec<[u8; N]>> {
    let bytes = read_whole(input, header, header.count()? * N)?;
    Ok(bytes.as_chunks::<N>().0.to_vec())
}

/// Reads exactly `length` bytes, to the end of `input`.
fn read_whole(input: &mut dyn Read, header: &Header, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than expected detects a longer array, and takes the reader to the end, where an
    // archive checks its checksum.
    input.take(length as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        let more = if bytes.len() > length { "more" } else { "fewer" };
        let shape = tuple(&header.shape);
        return Err(invalid(format!(
            "has {more} data than the {length} bytes of its shape {shape}"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(descr: &str, shape: &[usize]) -> Header {
        Header { descr: descr.to_owned(), shape: shape.to_vec(), fortran_order: false }
    }

    #[test]
    fn too_little_and_too_much_data_are_refused() {
        let refused = |descr: &str, bytes: &[u8]| {
            read_floats(&mut &*bytes, &header(descr, &[2])).unwrap_err().to_string()
        };
        assert_eq!(refused("<f4", &[0; 7]), "has fewer data than the 8 bytes of its shape (2,)");
        assert!(refused("<f4", &[0; 9]).contains("more data"));
        assert!(refused(">f4", &[0; 8]).contains(">f4"));
    }

    #[test]
    fn one_count_and_one_string_are_read_and_others_refused() {
        let count = |descr: &str, bytes: &[u8]| read_count(&mut &*bytes, &header(descr, &[]));
        assert_eq!(count("<i8", &7_i64.to_le_bytes()).unwrap(), 7);
        assert!(count("<i8", &(-1_i64).to_le_bytes()).unwrap_err().to_string().contains("is -1"));
        assert!(count("<f8", &[0; 8]).is_err());
        let text = |descr: &str, bytes: &[u8]| read_text(&mut &*bytes, &header(descr, &[]));
        assert_eq!(text("<U2", &[b'a', 0, 0, 0, 0, 0, 0, 0]).unwrap(), "a");
        assert_eq!(text("|S2", b"ab").unwrap(), "ab");
        assert!(text("<U5000", &[]).is_err() && text("|S1", &[0xff]).is_err());
    }
}
