//! Arrays of NumPy: the header, and the element types that statistics come in.

use std::io::{self, Read, Write};

/// Magic, version 1.0; then two bytes of header length.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// A header of plain arrays is far shorter.
const LONGEST_HEADER: usize = 1 << 16;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Type of an element, as `<f8`.
    pub(crate) descr: String,
    pub(crate) shape: Vec<usize>,
    /// Whether the first axis varies fastest.
    pub(crate) fortran_order: bool,
}

/// Reads the header and leaves `input` at the data.
///
/// # Errors
///
/// `InvalidData` if this is no array of numbers or text; else what `input` fails with.
///
/// # Source
///
/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>
pub(crate) fn read_header(input: &mut dyn Read) -> io::Result<Header> {
    let mut start = [0; 8];
    input.read_exact(&mut start)?;
    if &start[..6] != MAGIC {
        return Err(invalid("is no NumPy array"));
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            input.read_exact(&mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            input.read_exact(&mut length)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(invalid(format!("has version {version} of the format"))),
    };
    if length > LONGEST_HEADER {
        return Err(invalid(format!("has a header of {length} bytes")));
    }
    let mut header = vec![0; length];
    input.read_exact(&mut header)?;
    let header = String::from_utf8_lossy(&header);
    parse(&header).ok_or_else(|| invalid(format!("has the header {:?}", header.trim())))
}

/// Reads elements of `descr` to the end of `input` as f64.
///
/// # Errors
///
/// `InvalidData` unless the type is `<f8` or `<f4` and there are exactly `count`; else
/// what `input` fails with.
pub(crate) fn read_floats(input: &mut dyn Read, descr: &str, count: usize) -> io::Result<Vec<f64>> {
    let (size, convert): (usize, fn(&[u8]) -> f64) = match descr {
        "<f8" => (8, |bytes| f64::from_le_bytes(array(bytes))),
        "<f4" => (4, |bytes| f64::from(f32::from_le_bytes(array(bytes)))),
        other => {
            return Err(invalid(format!("has elements of type {other:?}, must be <f8 or <f4")));
        }
    };
    let bytes = read_whole(input, count * size)?;
    Ok(bytes.chunks_exact(size).map(convert).collect())
}

/// Reads one `<i8` or `<u8`.
///
/// # Errors
///
/// As [`read_floats`].
pub(crate) fn read_count(input: &mut dyn Read, header: &Header) -> io::Result<u64> {
    if !header.shape.is_empty() || !["<i8", "<u8"].contains(&header.descr.as_str()) {
        return Err(invalid("must be one integer of type <i8"));
    }
    let value = i64::from_le_bytes(array(&read_whole(input, 8)?));
    u64::try_from(value).map_err(|_| invalid(format!("is {value}, must not be negative")))
}

/// Reads one text, `<U…` or `|S…`.
///
/// # Errors
///
/// As [`read_floats`].
pub(crate) fn read_text(input: &mut dyn Read, header: &Header) -> io::Result<String> {
    let fault = || invalid("must be one text of at most 4096 characters");
    let (unit, length) = header.descr.split_at_checked(2).ok_or_else(fault)?;
    let length = length.parse().ok().filter(|&length: &usize| length <= 4096);
    let length = length.filter(|_| header.shape.is_empty()).ok_or_else(fault)?;
    let text: Option<String> = match unit {
        "<U" => read_whole(input, 4 * length)?
            .chunks_exact(4)
            .map(|bytes| char::from_u32(u32::from_le_bytes(array(bytes))))
            .collect(),
        "|S" => String::from_utf8(read_whole(input, length)?).ok(),
        _ => None,
    };
    // NumPy pads with zeros and takes them off again.
    Ok(text.ok_or_else(fault)?.trim_end_matches('\0').to_owned())
}

/// Writes an array of version 1.0 in C order.
///
/// * `data`: of as many elements as the shape has, little-endian.
///
/// # Errors
///
/// What `out` fails with.
pub(crate) fn write(
    out: &mut impl Write,
    descr: &str,
    shape: &[usize],
    data: &[u8],
) -> io::Result<()> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // Python's tuple of one element keeps its comma.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let literal = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    let before = MAGIC.len() + 4;
    let whole = (before + literal.len() + 1).next_multiple_of(ALIGNMENT);
    let header = format!("{literal:<width$}\n", width = whole - before - 1);
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    out.write_all(data)
}

/// The parts of the Python literal; `None` if one is missing or not plain.
fn parse(header: &str) -> Option<Header> {
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}'"))?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let (descr, _) = after("descr")?.strip_prefix('\'')?.split_once('\'')?;
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    Some(Header {
        descr: descr.to_owned(),
        shape: sides.map(|s| s.parse().ok()).collect::<Option<_>>()?,
        fortran_order: after("fortran_order")?.starts_with("True"),
    })
}

/// Reads exactly `length` bytes, to the end of `input`.
///
/// # Errors
///
/// As [`read_floats`].
pub(crate) fn read_whole(input: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than expected, so that a longer array shows, and the reader reaches the end,
    // where an archive checks its sum.
    input.take(length as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        let more = if bytes.len() > length { "more" } else { "fewer" };
        return Err(invalid(format!("has {more} data than the {length} bytes of its shape")));
    }
    Ok(bytes)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks are of the size of an element")
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, descr, shape, data).unwrap();
        out
    }

    #[test]
    fn a_header_reads_back_and_data_is_aligned() {
        for shape in [&[][..], &[3], &[2, 4]] {
            let file = written("<f8", shape, b"data");
            let mut rest = &file[..];
            let header = read_header(&mut rest).unwrap();
            let descr = "<f8".into();
            assert_eq!(header, Header { descr, shape: shape.to_vec(), fortran_order: false });
            assert_eq!(rest, b"data");
            assert_eq!((file.len() - 4) % 64, 0);
        }
    }

    #[test]
    fn a_literal_in_other_order_and_spacing_is_read() {
        let header = parse("{'shape' : (5,) , 'fortran_order':True,'descr':'<f4'}").unwrap();
        let descr = "<f4".into();
        assert_eq!(header, Header { descr, shape: vec![5], fortran_order: true });
        let plain = "'fortran_order': False";
        assert_eq!(parse(&format!("{{'descr': [('a', '<f4')], {plain}, 'shape': (5,)}}")), None);
        assert_eq!(parse(&format!("{{'descr': '<f4', {plain}, 'shape': (-5,)}}")), None);
    }

    #[test]
    fn too_little_and_too_much_data_are_told() {
        let message = |bytes: &[u8]| read_floats(&mut &*bytes, "<f4", 2).unwrap_err().to_string();
        assert!(message(&[0; 7]).contains("fewer"));
        assert!(message(&[0; 9]).contains("more"));
        assert!(read_floats(&mut &[0; 8][..], ">f4", 2).unwrap_err().to_string().contains(">f4"));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for bytes in [
            &b"PK\x03\x04aaaaaaa"[..],
            b"\x93NUMPY\x09\x00aaaa",
            b"\x93NUMPY\x02\x00\xff\xff\xff\x00",
        ] {
            assert!(read_header(&mut &*bytes).is_err());
        }
    }
}
