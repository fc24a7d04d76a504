//! The header of a file: magic bytes, a length, and a Python literal.

use std::io::{self, Read, Write};

/// Magic bytes; version and length of the header follow.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Longest accepted header; those of plain arrays are far shorter.
const LONGEST: usize = 1 << 16;

/// Returns whether a file that begins with `bytes` is a NumPy array.
#[must_use]
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Type and shape of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of an element, such as `<f8`.
    pub descr: String,
    /// Extents of the axes.
    pub shape: Vec<usize>,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
}

impl Header {
    /// Reads the header, leaving `input` at the data.
    ///
    /// # Errors
    ///
    /// `InvalidData` if this is not an array of numbers or text; else the error of `input`.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
        let mut magic = Vec::new();
        input.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if !is_npy(&magic) {
            return Err(invalid("is not a NumPy array"));
        }
        let [major, _minor] = read_array(input)?;
        let length = match major {
            1 => usize::from(u16::from_le_bytes(read_array(input)?)),
            2 | 3 => u32::from_le_bytes(read_array(input)?) as usize,
            version => return Err(invalid(format!("has version {version} of the format"))),
        };
        if length > LONGEST {
            return Err(invalid(format!("has a header of {length} bytes")));
        }
        let mut header = vec![0; length];
        input.read_exact(&mut header).map_err(cut_short)?;
        Self::parse(&String::from_utf8_lossy(&header)).map_err(invalid)
    }

    /// Writes a header of version 1.0; the data comes next.
    ///
    /// # Errors
    ///
    /// The error of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let order = if self.fortran_order { "True" } else { "False" };
        let literal = format!(
            "{{'descr': '{}', 'fortran_order': {order}, 'shape': {}, }}",
            self.descr,
            tuple(&self.shape)
        );
        let before = MAGIC.len() + 4;
        let whole = (before + literal.len() + 1).next_multiple_of(ALIGNMENT);
        let header = format!("{literal:<width$}\n", width = whole - before - 1);
        let length = u16::try_from(header.len()).map_err(io::Error::other)?;
        out.write_all(MAGIC)?;
        out.write_all(&[1, 0])?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(header.as_bytes())
    }

    /// Returns the number of elements.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot fit into memory.
    pub fn count(&self) -> io::Result<usize> {
        let count = self.shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
        let count = count.filter(|&count| count <= usize::MAX / 8);
        count.ok_or_else(|| invalid(format!("has the shape {}: too large", tuple(&self.shape))))
    }

    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("has a header that cannot be read: {}", text.trim());
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = after("descr").ok_or_else(wrong)?;
        if descr.starts_with('[') {
            return Err("is a structured array: save one of its fields".to_owned());
        }
        let quoted = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let (descr, _) = quoted.ok_or_else(wrong)?;
        let fortran_order = match after("fortran_order").ok_or_else(wrong)? {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => return Err(wrong()),
        };
        let sides = after("shape").and_then(|shape| shape.strip_prefix('(')?.split_once(')'));
        let (sides, _) = sides.ok_or_else(wrong)?;
        let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape =
            sides.map(|side| side.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        Ok(Self { descr: descr.to_owned(), shape, fortran_order })
    }
}

/// Formats a shape like a Python tuple.
#[must_use]
pub fn tuple(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
    match sides.as_slice() {
        [side] => format!("({side},)"),
        sides => format!("({})", sides.join(", ")),
    }
}

fn read_array<const N: usize>(input: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(cut_short)?;
    Ok(bytes)
}

fn cut_short(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid("ends inside its header"),
        _ => error,
    }
}

pub(super) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(descr: &str, shape: &[usize]) -> Header {
        Header { descr: descr.to_owned(), shape: shape.to_vec(), fortran_order: false }
    }

    fn file(header: &Header) -> Vec<u8> {
        let mut out = Vec::new();
        header.write(&mut out).unwrap();
        out
    }

    #[test]
    fn a_header_reads_back_and_data_behind_it_is_aligned() {
        for shape in [&[][..], &[3], &[2, 4]] {
            let written = header("<f8", shape);
            let bytes = [&file(&written)[..], b"data"].concat();
            let mut rest = &bytes[..];
            assert_eq!(Header::read(&mut rest).unwrap(), written);
            assert_eq!(rest, b"data");
            assert_eq!((bytes.len() - 4) % 64, 0);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let bytes = file(&header("<f4", &[3, 2]));
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(bytes.len(), 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]])));
        let literal = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
        let text = std::str::from_utf8(&bytes[10..]).unwrap();
        assert_eq!(text.trim_end(), literal);
        assert!(text.ends_with('\n'));
        // Python's tuple of one element keeps its comma.
        assert_eq!([tuple(&[]), tuple(&[5]), tuple(&[5, 6])], ["()", "(5,)", "(5, 6)"]);
    }

    #[test]
    fn a_longer_header_has_its_length_in_four_bytes() {
        let first = file(&header("|u1", &[1]));
        let length = u32::from(u16::from_le_bytes([first[8], first[9]])).to_le_bytes();
        let second = [b"\x93NUMPY\x02\x00", &length[..], &first[10..]].concat();
        assert_eq!(Header::read(&mut &second[..]).unwrap(), header("|u1", &[1]));
    }

    #[test]
    fn a_literal_with_other_order_and_spacing_is_read() {
        let literal = "{'shape' : (5,) , 'fortran_order':True,'descr':'<f4'}";
        let read = Header::parse(literal).unwrap();
        assert_eq!(read, Header { fortran_order: true, ..header("<f4", &[5]) });
    }

    #[test]
    fn anything_but_a_plain_array_is_refused_with_the_reason() {
        let refused = |bytes: &[u8]| Header::read(&mut &*bytes).unwrap_err().to_string();
        for other in [&b"PK\x03\x04aaaaaaa"[..], b"PK", b""] {
            assert!(refused(other).contains("is not a NumPy array"), "{other:?}");
        }
        assert!(refused(b"\x93NUMPY\x09\x00aaaa").contains("version 9"));
        assert!(refused(b"\x93NUMPY\x02\x00\xff\xff\xff\x00").contains("16777215 bytes"));
        assert!(refused(&file(&header("<f4", &[1]))[..30]).contains("ends inside its header"));
        let literal = |descr: &str, order: &str, shape: &str| {
            let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}");
            Header::parse(&text).unwrap_err()
        };
        assert!(literal("[('a', '<f4')]", "False", "(5,)").contains("structured"));
        for (order, shape) in [("False", "(-5,)"), ("False", "(x,)"), ("0", "(5,)")] {
            assert!(literal("'<f4'", order, shape).contains("cannot be read"), "{order} {shape}");
        }
    }
}
