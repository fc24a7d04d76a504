//! Files with labels that lie beside the pictures, or above them.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::picture_files::PictureFiles;
use crate::regular;

/// A larger file is refused: labels of ImageNet take 50 MB.
const MAX_BYTES: u64 = 1 << 30;

/// A file beside pictures.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// Path below the root of the data.
    pub(super) path: PathBuf,
    /// Why it cannot be read, as text that follows its name, if it cannot.
    pub(super) content: Result<Vec<u8>, String>,
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
        let content = self.content.as_ref().map_err(Clone::clone)?;
        let text = std::str::from_utf8(content)
            .map_err(|cause| format!("it is not UTF-8 text: {cause}; save it as UTF-8"))?;
        // Programs of Windows begin files with a byte-order mark.
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// Reads the files called `name` in the folders of the pictures and in all folders above these. One
/// that cannot be read is a fault only if it is needed.
pub(super) fn find(files: &PictureFiles, pictures: &[PathBuf], name: &str) -> Vec<Sidecar> {
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
            let content = read(&files.root().join(&path));
            sidecars.extend(content.map(|content| Sidecar { path, content }));
        }
        return sidecars;
    }
    let above = |path: &Path| path.parent().is_some_and(|folder| folders.contains(folder));
    for i in (0..files.len()).filter(|&i| files.name(i).ends_with(name) && above(files.name(i))) {
        let content = files.first_bytes(i, MAX_BYTES + 1).and_then(within_limit);
        sidecars.push(Sidecar { path: files.name(i).to_path_buf(), content });
    }
    sidecars
}

/// Reads a file; `None` if there is none of this name.
fn read(path: &Path) -> Option<Result<Vec<u8>, String>> {
    let read = || {
        let mut content = Vec::new();
        regular::open(path)?.0.take(MAX_BYTES + 1).read_to_end(&mut content).map(|_| content)
    };
    match read() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        read => {
            Some(read.map_err(|cause| format!("cannot read it: {cause}")).and_then(within_limit))
        }
    }
}

fn within_limit(content: Vec<u8>) -> Result<Vec<u8>, String> {
    match content.len() as u64 > MAX_BYTES {
        true => Err(format!("it has more than {} MiB", MAX_BYTES >> 20)),
        false => Ok(content),
    }
}
