//! Reads arrays from NumPy's files: features computed elsewhere, and pictures.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ddpm_files::npy::Array;
use zip::ZipArchive;

use crate::Error;

/// Reads a `.npy` file, or one array of a `.npz` file: the only one, or the first of `names` that
/// exists.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is damaged, in Fortran order,
/// not of f16, f32, f64, u8 or bool, or has several arrays but none of `names`.
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
        ZipArchive::new(file).map_err(|fault| format!("is not an .npz archive: {fault}"))?;
    let members: Vec<String> = archive.file_names().flatten().map(Cow::into_owned).collect();
    let chosen = match &members[..] {
        [only] => only.clone(),
        _ => names
            .iter()
            .map(|name| format!("{name}.npy"))
            .find(|name| members.contains(name))
            .ok_or_else(|| {
                format!("holds {members:?}: give the array to read one of the names {names:?}")
            })?,
    };
    let mut member = archive.by_name(&chosen).map_err(|fault| format!("{chosen:?}: {fault}"))?;
    Array::read(&mut member).map_err(|fault| format!("array {chosen:?} {fault}"))
}
