//! Whole arrays of the types used for pictures, states and features.

use std::io::{self, Read};

use half::f16;

use super::data::read_words;
use super::header::{Header, invalid};

/// An array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extents of the axes.
    pub shape: Vec<usize>,
    /// The elements that fill the shape.
    pub elements: Elements,
}

/// Elements of an array, by type.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Real numbers: f16, f32, or f64 rounded to f32.
    Floats(Vec<f32>),
    /// Bytes: pixels.
    Bytes(Vec<u8>),
    /// Booleans.
    Bools(Vec<bool>),
}

impl Elements {
    /// Returns NumPy's name of the type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Floats(_) => "float32",
            Self::Bytes(_) => "uint8",
            Self::Bools(_) => "bool",
        }
    }
}

impl Array {
    /// Reads an array, to the end of `input`.
    ///
    /// # Errors
    ///
    /// `InvalidData` says what is wrong and what to save instead; else the error of `input`.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
        let header = Header::read(input)?;
        if header.fortran_order && header.shape.len() > 1 {
            return Err(invalid("is in Fortran order: save np.ascontiguousarray(array)"));
        }
        let elements = match header.descr.as_str() {
            // Bytes have no byte order, but some programs write one.
            "|u1" | "<u1" => Elements::Bytes(read_words::<1>(input, &header)?.into_flattened()),
            "|b1" => Elements::Bools(elements(input, &header, |[byte]| byte != 0)?),
            "<f2" => Elements::Floats(elements(input, &header, |h| f16::from_le_bytes(h).into())?),
            "<f4" => Elements::Floats(elements(input, &header, f32::from_le_bytes)?),
            "<f8" => Elements::Floats(elements(input, &header, |d| f64::from_le_bytes(d) as f32)?),
            other => {
                return Err(invalid(format!(
                    "holds elements of type `{other}`, not little-endian float16, float32 or \
                     float64, uint8 or bool: save array.astype(np.float32)"
                )));
            }
        };
        Ok(Self { shape: header.shape, elements })
    }
}

fn elements<const N: usize, T>(
    input: &mut dyn Read,
    header: &Header,
    convert: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    Ok(read_words(input, header)?.into_iter().map(convert).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy;

    fn file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        npy::write(&mut out, descr, shape, data).unwrap();
        out
    }

    fn read(bytes: &[u8]) -> Result<Array, String> {
        Array::read(&mut &*bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_reads_as_the_numbers_it_holds() {
        let floats = |descr, bytes: &[u8]| read(&file(descr, &[1, 2], bytes)).unwrap();
        let want = Array { shape: vec![1, 2], elements: Elements::Floats(vec![1.5, -2.0]) };
        assert_eq!(floats("<f8", &[1.5_f64, -2.0].map(f64::to_le_bytes).concat()), want);
        assert_eq!(floats("<f4", &[1.5_f32, -2.0].map(f32::to_le_bytes).concat()), want);
        assert_eq!(
            floats("<f2", &[1.5, -2.0].map(|x| f16::from_f32(x).to_le_bytes()).concat()),
            want
        );
        for descr in ["|u1", "<u1"] {
            assert_eq!(floats(descr, &[7, 255]).elements, Elements::Bytes(vec![7, 255]));
        }
        assert_eq!(floats("|b1", &[0, 1]).elements, Elements::Bools(vec![false, true]));
        assert!(read(&file("|u1", &[], &[7])).unwrap().shape.is_empty());
    }

    #[test]
    fn an_unsupported_array_is_refused_by_name() {
        let refused = |bytes: &[u8]| read(bytes).unwrap_err();
        assert!(refused(&file(">f4", &[1], &[0; 4])).contains("`>f4`"));
        assert!(refused(&file("<i8", &[1], &[0; 8])).contains("`<i8`"));
        assert!(refused(&file("<f4", &[3], &[0; 8])).contains("fewer data"));
        for huge in [&[usize::MAX / 2, 4][..], &[usize::MAX / 4]] {
            assert!(refused(&file("<f4", huge, &[])).contains("too large"));
        }
        let fortran = |shape: &[usize]| {
            let mut out = Vec::new();
            let header = Header { descr: "|u1".into(), shape: shape.to_vec(), fortran_order: true };
            header.write(&mut out).unwrap();
            out.extend([1, 2]);
            read(&out)
        };
        assert!(fortran(&[1, 2]).unwrap_err().contains("Fortran order"));
        // With one axis, both orders are the same.
        assert_eq!(fortran(&[2]).unwrap().elements, Elements::Bytes(vec![1, 2]));
    }
}
