//! Arrays from NumPy's files: features that others computed, and pictures.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use half::f16;
use zip::ZipArchive;

use crate::{Error, npy};

/// An array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct NumpyArray {
    /// Extents of the axes.
    pub shape: Vec<usize>,
    /// As many elements as the shape has.
    pub elements: Elements,
}

/// What an array holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Real numbers; f64 are rounded to f32.
    Floats(Vec<f32>),
    /// Bytes: pixels.
    Bytes(Vec<u8>),
}

impl NumpyArray {
    /// Reads a `.npy` file, or one array of a `.npz` file: the only one, or the first of
    /// `names` that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is damaged, is in
    /// Fortran order, is not of f16, f32, f64 or u8, or none of its arrays is meant.
    pub fn read(path: &Path, names: &[&str]) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let zipped =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
        let array = if zipped {
            read_member(file, names)
        } else {
            read_array(&mut file).map_err(|fault| fault.to_string())
        };
        array.map_err(|reason| Error::File { path: path.into(), reason })
    }
}

fn read_member(file: BufReader<File>, names: &[&str]) -> Result<NumpyArray, String> {
    let mut archive =
        ZipArchive::new(file).map_err(|fault| format!("is no .npz archive: {fault}"))?;
    let there: Vec<String> = archive.file_names().flatten().map(Cow::into_owned).collect();
    let meant = match &there[..] {
        [only] => only.clone(),
        _ => names
            .iter()
            .map(|name| format!("{name}.npy"))
            .find(|name| there.contains(name))
            .ok_or_else(|| format!("holds {there:?}: name the one that is meant {names:?}"))?,
    };
    let mut member = archive.by_name(&meant).map_err(|fault| format!("{meant:?}: {fault}"))?;
    read_array(&mut member).map_err(|fault| format!("array {meant:?} {fault}"))
}

fn read_array(input: &mut dyn Read) -> io::Result<NumpyArray> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let npy::Header { descr, shape, fortran_order } = npy::read_header(input)?;
    if fortran_order && shape.len() > 1 {
        return Err(invalid("is in Fortran order: save numpy.ascontiguousarray of it".into()));
    }
    let count = shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
    let count = count.filter(|&count| count <= usize::MAX / 8);
    let count = count.ok_or_else(|| invalid(format!("has the shape {shape:?}: too large")))?;
    let elements = match descr.as_str() {
        // Bytes have no order; some programs write one all the same.
        "|u1" | "<u1" => Elements::Bytes(npy::read_whole(input, count)?),
        "<f2" => {
            let bytes = npy::read_whole(input, 2 * count)?;
            let (halves, _) = bytes.as_chunks::<2>();
            Elements::Floats(halves.iter().map(|&half| f16::from_le_bytes(half).into()).collect())
        }
        "<f4" => {
            let bytes = npy::read_whole(input, 4 * count)?;
            let (floats, _) = bytes.as_chunks::<4>();
            Elements::Floats(floats.iter().copied().map(f32::from_le_bytes).collect())
        }
        "<f8" => {
            let doubles = npy::read_floats(input, &descr, count)?;
            Elements::Floats(doubles.into_iter().map(|double| double as f32).collect())
        }
        other => {
            let message = format!("has elements of type {other:?}, must be <f2, <f4, <f8 or |u1");
            return Err(invalid(message));
        }
    };
    Ok(NumpyArray { shape, elements })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        npy::write(&mut out, descr, shape, data).unwrap();
        out
    }

    fn read(name: &str, bytes: &[u8]) -> Result<NumpyArray, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        NumpyArray::read(&path, &["features"]).map_err(|fault| fault.to_string())
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn every_type_reads_as_the_numbers_it_holds() {
        let floats = |descr, bytes: &[u8]| read("a.npy", &file(descr, &[1, 2], bytes)).unwrap();
        let want = NumpyArray { shape: vec![1, 2], elements: Elements::Floats(vec![1.5, -2.0]) };
        let doubles = [1.5_f64, -2.0].map(f64::to_le_bytes).concat();
        assert_eq!(floats("<f8", &doubles), want);
        assert_eq!(floats("<f4", &[1.5_f32, -2.0].map(f32::to_le_bytes).concat()), want);
        let halves = [1.5, -2.0].map(|x| f16::from_f32(x).to_le_bytes()).concat();
        assert_eq!(floats("<f2", &halves), want);
        for descr in ["|u1", "<u1"] {
            assert_eq!(floats(descr, &[7, 255]).elements, Elements::Bytes(vec![7, 255]));
        }
    }

    #[test]
    fn of_an_archive_the_only_array_or_the_named_one_is_meant() {
        let [one, two] = [1, 2].map(|byte| file("|u1", &[1], &[byte]));
        let bytes = |array: NumpyArray| array.elements;
        let only = read("a.npz", &archive(&[("x.npy", &one)])).unwrap();
        assert_eq!(bytes(only), Elements::Bytes(vec![1]));
        let named = archive(&[("x.npy", &one), ("features.npy", &two)]);
        assert_eq!(bytes(read("a.npz", &named).unwrap()), Elements::Bytes(vec![2]));
        let neither = read("a.npz", &archive(&[("x.npy", &one), ("y.npy", &two)])).unwrap_err();
        assert!(neither.contains("x.npy") && neither.contains("features"), "{neither}");
    }

    #[test]
    fn what_is_no_plain_array_of_numbers_is_refused_with_the_reason() {
        assert!(read("a.npy", &file("<i8", &[1], &[0; 8])).unwrap_err().contains("\"<i8\""));
        assert!(read("a.npy", b"text, not an array").unwrap_err().contains("no NumPy array"));
        assert!(read("a.npz", b"text, not an archive").unwrap_err().contains("no .npz archive"));
        assert!(read("a.npy", &file("<f4", &[3], &[0; 8])).unwrap_err().contains("fewer data"));
        let huge = file("<f8", &[usize::MAX / 2, 4], &[]);
        assert!(read("a.npy", &huge).unwrap_err().contains("too large"));
        let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\n";
        let length = (header.len() as u16).to_le_bytes();
        let fortran = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 8]].concat();
        assert!(read("a.npy", &fortran).unwrap_err().contains("Fortran order"));
    }
}
