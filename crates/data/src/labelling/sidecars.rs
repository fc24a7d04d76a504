//! Files with labels that lie beside the pictures, or above them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::bounded::read_at_most;
use crate::picture_files::PictureFiles;

/// A larger file is refused: labels of ImageNet take 50 MB.
const MAX_BYTES: u64 = 1 << 30;

/// A file beside pictures.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// Path below the root of the data.
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
}

impl Sidecar {
    /// Returns the folder that the paths in it begin at.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Returns the content as text.
    ///
    /// # Errors
    ///
    /// A description of what is wrong, as text that follows its name.
    pub(super) fn text(&self) -> Result<&str, String> {
        let text = std::str::from_utf8(&self.content)
            .map_err(|cause| format!("it is not UTF-8 text: {cause}; save it as UTF-8"))?;
        // Programs of Windows begin files with a byte-order mark.
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// Reads the files called `name` in the folders of the pictures and in all folders above these.
///
/// # Errors
///
/// [`DataError::Read`] if one cannot be read, [`DataError::Format`] if one is damaged or too large.
pub(super) fn find(
    files: &PictureFiles,
    pictures: &[PathBuf],
    name: &str,
) -> Result<Vec<Sidecar>, DataError> {
    let mut folders = BTreeSet::new();
    for picture in pictures {
        for folder in picture.ancestors().skip(1) {
            if !folders.insert(folder) {
                break;
            }
        }
    }
    let mut sidecars = Vec::new();
    if !files.is_archive() {
        for folder in folders {
            let path = folder.join(name);
            let content = read(&files.root().join(&path))?;
            sidecars.extend(content.map(|content| Sidecar { path, content }));
        }
        return Ok(sidecars);
    }
    let above = |path: &Path| path.parent().is_some_and(|folder| folders.contains(folder));
    for i in (0..files.len()).filter(|&i| files.name(i).ends_with(name) && above(files.name(i))) {
        let damaged = |cause: &str| DataError::format(&files.path(i), cause);
        let content = files.first_bytes(i, MAX_BYTES + 1).map_err(|cause| damaged(&cause))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(damaged("it is too large"));
        }
        sidecars.push(Sidecar { path: files.name(i).to_path_buf(), content });
    }
    Ok(sidecars)
}

/// Reads a file; `None` if there is none, or something else of its name.
fn read(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(DataError::read(path)(cause)),
    }
    let file = fs::File::open(path).map_err(DataError::read(path))?;
    let content = read_at_most(file, MAX_BYTES).map_err(DataError::read(path))?;
    content.map(Some).ok_or_else(|| DataError::format(path, "it is too large"))
}
