//! The picture files below a folder, or in a zip archive that is read in place.
//!
//! Files are found by extension, in the order of their paths, without hidden ones; in folders,
//! links are followed. An archive is never unpacked to disk, so no name in it can overwrite a file;
//! a name that points outside is refused all the same.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use walkdir::{DirEntry, WalkDir};
use zip::ZipArchive;

use crate::DataError;
use crate::bounded::read_at_most;
use crate::picture::{self, Decoded};
use crate::positioned::Positioned;

/// The pictures of one folder or archive.
pub(crate) struct PictureFiles {
    root: PathBuf,
    store: Store,
    files: Vec<Found>,
}

enum Store {
    Folder,
    Zip(ZipArchive<Positioned>),
}

struct Found {
    /// Path below the root.
    name: PathBuf,
    /// Index in the archive.
    at: usize,
}

/// A larger file is not a picture: a photograph of 16,384 × 16,384 pixels is well below it.
const MAX_FILE_BYTES: u64 = 512 << 20;

impl PictureFiles {
    /// Finds the pictures below a folder or in a zip archive.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if neither exists or it holds no picture, [`DataError::Format`] if
    /// the archive is damaged or has a name that points outside, [`DataError::Read`] if the system
    /// fails to read.
    pub(crate) fn find(root: &Path) -> Result<Self, DataError> {
        let (store, mut files) = if root.is_dir() {
            (Store::Folder, files_below(root)?)
        } else if root.is_file() {
            let archive = open_zip(root)?;
            let files = files_in(&archive, root)?;
            (Store::Zip(archive), files)
        } else {
            return Err(DataError::missing(root, "there is no such folder or zip archive"));
        };
        files.retain(|file| is_picture(&file.name) && !is_hidden(&file.name));
        if files.is_empty() {
            let extensions = picture::EXTENSIONS.join(", ");
            let problem = format!("it contains no picture ({extensions})");
            return Err(DataError::missing(root, problem));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root: root.to_path_buf(), store, files })
    }

    /// Finds the pictures in the first of `names` that exists below `path`, or else in `path`
    /// itself.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub(crate) fn find_below(path: &Path, names: &[&str]) -> Result<Self, DataError> {
        let below = names.iter().map(|name| path.join(name)).find(|root| root.exists());
        Self::find(&below.unwrap_or_else(|| path.to_path_buf()))
    }

    /// Returns the number of pictures, at least one.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns the folder or the archive.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of picture `i` below the root.
    pub(crate) fn name(&self, i: usize) -> &Path {
        &self.files[i].name
    }

    /// Returns whether file `i` is a picture, usable or not: others need no label.
    pub(crate) fn is_picture(&self, i: usize) -> bool {
        is_picture(self.name(i))
    }

    /// Returns the name of picture `i` in messages.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.name(i))
    }

    /// Sorts the pictures by a key; those of equal key stay in the order of their paths.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&Path) -> K) {
        self.files.sort_by_cached_key(|file| key(&file.name));
    }

    /// Returns the archive, if this is one, to read other files in it.
    pub(crate) fn archive(&self) -> Option<ZipArchive<Positioned>> {
        match &self.store {
            Store::Folder => None,
            Store::Zip(archive) => Some(archive.clone()),
        }
    }

    /// Keeps only pictures whose path below the root satisfies `wanted`.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(&Path) -> bool) {
        self.files.retain(|file| wanted(&file.name));
    }

    /// Reads and [decodes](picture::decode) picture `i`; any number of threads may call it at once.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, as text that follows its name.
    pub(crate) fn decode(&self, i: usize) -> Result<Decoded, String> {
        match picture::extension(self.name(i)) {
            Some(extension) if picture::UNSUPPORTED.contains(&&*extension) => {
                Err(format!("{extension} files are not read here; save it as PNG or JPEG"))
            }
            _ => picture::decode(&self.read(i)?),
        }
    }

    fn read(&self, i: usize) -> Result<Vec<u8>, String> {
        let file = &self.files[i];
        let bytes = match &self.store {
            Store::Folder => File::open(self.root.join(&file.name)).and_then(bounded),
            Store::Zip(archive) => {
                // Clones share the archive's directory, so a clone per thread is cheap.
                let mut archive = archive.clone();
                archive.by_index(file.at).map_err(io::Error::from).and_then(bounded)
            }
        };
        match bytes {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(format!("it has more than {} MiB", MAX_FILE_BYTES >> 20)),
            Err(cause) => Err(format!("cannot read it: {cause}")),
        }
    }
}

fn files_below(root: &Path) -> Result<Vec<Found>, DataError> {
    let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name().as_ref());
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
        let entry = entry.map_err(DataError::walk(root))?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf();
            files.push(Found { name, at: files.len() });
        }
    }
    Ok(files)
}

fn open_zip(path: &Path) -> Result<ZipArchive<Positioned>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let length = fs::metadata(path).map_err(DataError::read(path))?.len();
    ZipArchive::new(Positioned::new(file, length)).map_err(|cause| {
        DataError::format(path, format!("it is not a complete zip archive: {cause}; pack it again"))
    })
}

fn files_in(archive: &ZipArchive<Positioned>, path: &Path) -> Result<Vec<Found>, DataError> {
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let entry = archive
            .by_index_data(at)
            .map_err(|cause| DataError::format(path, format!("entry {at}: {cause}")))?;
        match entry.enclosed_name() {
            Some(name) if entry.is_file() => files.push(Found { name, at }),
            Some(_) => {}
            None => {
                let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
                let problem = format!("`{name}` points outside of it; pack it again");
                return Err(DataError::format(path, problem));
            }
        }
    }
    Ok(files)
}

fn is_picture(name: &Path) -> bool {
    picture::extension(name).is_some_and(|extension| {
        picture::EXTENSIONS.contains(&&*extension) || picture::UNSUPPORTED.contains(&&*extension)
    })
}

/// Returns whether the name of a file or of a folder above it begins with a dot, like the files
/// that systems leave beside pictures.
fn is_hidden(name: &Path) -> bool {
    let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    name.components().any(hidden)
}

/// Reads a file of at most [`MAX_FILE_BYTES`]; `None` if it is larger.
fn bounded(file: impl Read) -> io::Result<Option<Vec<u8>>> {
    read_at_most(file, MAX_FILE_BYTES)
}
