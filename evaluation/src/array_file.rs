//! Arrays from NumPy's files: features that others computed, and pictures.

use std::{borrow::Cow, fs::File, io::BufReader, path::Path};

use ddpm_files::npy::Array;
use zip::ZipArchive;

use crate::Error;

/// Reads a `.npy` file, or one array of a `.npz` file: the only one, or the first of `names` that is
/// there.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is damaged, is in Fortran order,
/// is not of f16, f32, f64, u8 or bool, or none of its arrays is meant.
pub fn read_array(path: &Path, names: &[&str]) -> Result<Array, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let zipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    let array = if zipped {
        read_member(file, names)
    } else {
        Array::read(&mut file).map_err(|fault| fault.to_string())
    };
    array.map_err(|reason| Error::File { path: path.into(), reason })
}

fn read_member(file: BufReader<File>, names: &[&str]) -> Result<Array, String> {
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
    Array::read(&mut member).map_err(|fault| format!("array {meant:?} {fault}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use ddpm_files::npy::{self, Elements};
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        npy::write(&mut out, descr, shape, data).unwrap();
        out
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Array, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_array(&path, &["features"]).map_err(|fault| fault.to_string())
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
    fn of_an_archive_the_only_array_or_the_named_one_is_meant() {
        let [one, two] = [1, 2].map(|byte| file("|u1", &[1], &[byte]));
        let bytes = |array: Array| array.elements;
        let only = read("a.npz", &archive(&[("x.npy", &one)])).unwrap();
        assert_eq!(bytes(only), Elements::Bytes(vec![1]));
        let named = archive(&[("x.npy", &one), ("features.npy", &two)]);
        assert_eq!(bytes(read("a.npz", &named).unwrap()), Elements::Bytes(vec![2]));
        let neither = read("a.npz", &archive(&[("x.npy", &one), ("y.npy", &two)])).unwrap_err();
        assert!(neither.contains("x.npy") && neither.contains("features"), "{neither}");
    }

    #[test]
    fn what_is_no_array_or_no_archive_is_refused_with_the_reason() {
        assert!(read("a.npy", b"text, not an array").unwrap_err().contains("no NumPy array"));
        assert!(read("a.npz", b"text, not an archive").unwrap_err().contains("no .npz archive"));
        let short = archive(&[("x.npy", &file("<f4", &[3], &[0; 8]))]);
        let refused = read("a.npz", &short).unwrap_err();
        assert!(refused.contains("\"x.npy\" has fewer data"), "{refused}");
    }
}
