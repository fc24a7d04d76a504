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
    match files.archive() {
        None => {
            for folder in folders {
                let path = folder.join(name);
                let content = read(&files.root().join(&path))?;
                sidecars.extend(content.map(|content| Sidecar { path, content }));
            }
        }
        Some(mut archive) => {
            let damaged = |cause| DataError::format(files.root(), format!("{name} in it: {cause}"));
            let is_named = |at: &usize| {
                let path = archive.name_for_index(*at).and_then(Result::ok);
                path.is_some_and(|path| path.ends_with(name))
            };
            let likely: Vec<usize> = (0..archive.len()).filter(is_named).collect();
            for at in likely {
                let file = archive.by_index(at).map_err(|cause| damaged(cause.to_string()))?;
                let Some(path) = file.enclosed_name() else { continue };
                let above = path.parent().is_some_and(|folder| folders.contains(folder));
                if above && path.ends_with(name) && file.is_file() {
                    let content = read_at_most(file, MAX_BYTES);
                    let content = content.map_err(|cause| damaged(cause.to_string()))?;
                    let content = content.ok_or_else(|| damaged("it is too large".to_owned()))?;
                    sidecars.push(Sidecar { path, content });
                }
            }
        }
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
