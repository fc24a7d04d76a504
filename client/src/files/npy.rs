//! NumPy arrays: formats 1.0 to 3.0, C order, little-endian f4 and f8, u1 and bool.
//! Everything else is refused by name.

/// An array as it stands in the file.
#[derive(Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) elements: Elements,
}

#[derive(Debug, PartialEq)]
pub(super) enum Elements {
    /// f4, or f8 rounded.
    Floats(Vec<f32>),
    /// u1.
    Bytes(Vec<u8>),
    /// Bool.
    Bools(Vec<bool>),
}

impl Elements {
    /// As `numpy` names the type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Floats(_) => "float32",
            Self::Bytes(_) => "uint8",
            Self::Bools(_) => "bool",
        }
    }
}

/// Reads an array.
///
/// # Errors
///
/// What is wrong, and what to save instead.
///
/// # Source
///
/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>
pub(super) fn parse(bytes: &[u8]) -> Result<Array, String> {
    let no_array = || "is no NumPy array: it does not begin as a .npy file".to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(no_array)?;
    let (header, data) = split_header(rest).ok_or("ends inside its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is no text")?;
    let Header { descr, fortran_order, shape } = Header::parse(header)?;
    if fortran_order {
        return Err("is in Fortran order: save np.ascontiguousarray(array)".to_owned());
    }
    let count = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let fits = |size: usize| {
        let want = count.and_then(|count| count.checked_mul(size));
        if want == Some(data.len()) {
            return Ok(());
        }
        let got = data.len();
        Err(format!("has {got} bytes of data, which do not fill its shape {}", tuple(&shape)))
    };
    let elements = match descr.as_str() {
        "<f4" => {
            fits(4)?;
            let (words, _) = data.as_chunks::<4>();
            Elements::Floats(words.iter().copied().map(f32::from_le_bytes).collect())
        }
        "<f8" => {
            fits(8)?;
            let (words, _) = data.as_chunks::<8>();
            Elements::Floats(words.iter().map(|word| f64::from_le_bytes(*word) as f32).collect())
        }
        "|u1" => fits(1).map(|()| Elements::Bytes(data.to_vec()))?,
        "|b1" => fits(1).map(|()| Elements::Bools(data.iter().map(|byte| *byte != 0).collect()))?,
        other => {
            let sentence = "is read as little-endian float32 or float64, uint8 or bool only: save";
            return Err(format!(
                "holds elements of type `{other}`, and {sentence} \
                                array.astype(np.float32)"
            ));
        }
    };
    Ok(Array { shape, elements })
}

/// The header and what is behind it.
fn split_header(after_magic: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[major, _minor], rest) = after_magic.split_first_chunk::<2>()?;
    match major {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        }
        _ => None,
    }
}

/// The Python literal at the head of a file.
#[derive(Debug)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("has a header that cannot be read: {}", text.trim());
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':"))?;
            Some(rest.trim_start())
        };
        let descr = value("descr").ok_or_else(wrong)?;
        if descr.starts_with('[') {
            return Err("is a structured array: save one of its fields".to_owned());
        }
        let quoted = |text: &str| Some(text.strip_prefix('\'')?.split_once('\'')?.0.to_owned());
        let fortran_order = match value("fortran_order").ok_or_else(wrong)? {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => return Err(wrong()),
        };
        let sides = value("shape").and_then(|shape| shape.strip_prefix('('));
        let (sides, _) = sides.and_then(|sides| sides.split_once(')')).ok_or_else(wrong)?;
        let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape =
            sides.map(|side| side.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        Ok(Self { descr: quoted(descr).ok_or_else(wrong)?, fortran_order, shape })
    }
}

/// A shape as Python writes it.
pub(super) fn tuple(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
    match sides.as_slice() {
        [side] => format!("({side},)"),
        sides => format!("({})", sides.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of format 1.0 with this type and these bytes.
    pub(crate) fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let literal =
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = (literal.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], literal.as_bytes(), data].concat()
    }

    #[test]
    fn what_the_writer_of_this_project_writes_is_read() {
        let mut bytes = Vec::new();
        ddpm_pictures::write_npy(&mut bytes, &[2], &[&[1.0, -2.5], &[0.1, 3.0]]).unwrap();

        let array = parse(&bytes).unwrap();

        assert_eq!(array.shape, [2, 2]);
        assert_eq!(array.elements, Elements::Floats(vec![1.0, -2.5, 0.1, 3.0]));
    }

    #[test]
    fn doubles_bytes_and_bools_are_read() {
        let doubles = [0.5f64, -1.0].map(f64::to_le_bytes).concat();

        let read = |descr, shape, data: &[u8]| parse(&file(descr, "False", shape, data)).unwrap();

        assert_eq!(read("'<f8'", "(2,)", &doubles).elements, Elements::Floats(vec![0.5, -1.0]));
        assert_eq!(read("'|u1'", "(1, 2)", &[7, 255]).elements, Elements::Bytes(vec![7, 255]));
        assert_eq!(read("'|b1'", "(2,)", &[0, 1]).elements, Elements::Bools(vec![false, true]));
        assert!(read("'|u1'", "()", &[7]).shape.is_empty());
    }

    #[test]
    fn a_longer_header_has_its_length_in_four_bytes() {
        let first = file("'|u1'", "False", "(1,)", &[9]);
        let length = u32::from(u16::from_le_bytes([first[8], first[9]])).to_le_bytes();
        let second = [b"\x93NUMPY\x02\x00", &length[..], &first[10..]].concat();

        assert_eq!(parse(&second).unwrap(), parse(&first).unwrap());
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        let sentence = |bytes: &[u8]| parse(bytes).unwrap_err();

        assert!(sentence(b"PK\x03\x04").contains("no NumPy array"));
        assert!(sentence(&file("'>f4'", "False", "(1,)", &[0; 4])).contains("`>f4`"));
        assert!(sentence(&file("'<i8'", "False", "(1,)", &[0; 8])).contains("`<i8`"));
        assert!(sentence(&file("'<f4'", "True", "(1, 1)", &[0; 4])).contains("Fortran"));
        assert!(sentence(&file("[('a', '<f4')]", "False", "(1,)", &[0; 4])).contains("structured"));
        assert!(sentence(&file("'<f4'", "False", "(2,)", &[0; 4])).contains("do not fill"));
        assert!(sentence(&file("'<f4'", "False", "(x,)", &[0; 4])).contains("cannot be read"));
        let huge = "(4294967296, 4294967296, 4294967296)";
        assert!(sentence(&file("'<f4'", "False", huge, &[])).contains("do not fill"));
        let cut = &file("'<f4'", "False", "(1,)", &[0; 4])[..30];
        assert!(sentence(cut).contains("inside its header"));
    }
}
