//! Where pictures lie: below a folder, or in a zip archive that is read in place.
//!
//! Files are found by extension, in the order of their paths, without hidden ones; in folders, links are followed. An
//! archive is never unpacked to disk, so a name in it cannot write anywhere; one that tries to is refused all the same.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use walkdir::{DirEntry, WalkDir};
use zip::ZipArchive;

use super::picture::Decoded;
use super::positioned::Positioned;
use super::{DataError, picture};

/// The pictures of one place.
pub(super) struct PictureFiles {
    root: PathBuf,
    store: Store,
    files: Vec<Found>,
}

enum Store {
    Folder,
    Zip(ZipArchive<Positioned>),
}

struct Found {
    /// Below the root.
    name: PathBuf,
    /// Its number in the archive.
    at: usize,
}

/// A larger file is no picture: 16,384 × 16,384 pixels of a photograph are well below it.
const MAX_FILE_BYTES: u64 = 512 << 20;

impl PictureFiles {
    /// Finds the pictures below a folder or in a zip archive.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if there is neither or no picture in it, [`DataError::Format`] if the archive is damaged
    /// or has a name that leaves it, [`DataError::Read`] if the system refuses.
    pub(super) fn find(root: &Path) -> Result<Self, DataError> {
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
            let problem = format!("there is no picture in it ({extensions})");
            return Err(DataError::missing(root, problem));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root: root.to_path_buf(), store, files })
    }

    /// How many there are; at least one.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The folder or the archive.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Path of picture `i` below the root.
    pub(super) fn name(&self, i: usize) -> &Path {
        &self.files[i].name
    }

    /// What a message calls picture `i`.
    pub(super) fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.name(i))
    }

    /// Puts the pictures into another order; those of equal key stay in the order of their paths.
    pub(super) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&Path) -> K) {
        self.files.sort_by_cached_key(|file| key(&file.name));
    }

    /// Whether this is an archive. The folder that its content was packed from is then part of every name.
    pub(super) fn is_zip(&self) -> bool {
        matches!(self.store, Store::Zip(_))
    }

    /// Leaves out the pictures whose path below the root does not suit.
    pub(super) fn retain(&mut self, suits: impl Fn(&Path) -> bool) {
        self.files.retain(|file| suits(&file.name));
    }

    /// Reads and [decodes](picture::decode) picture `i`; any number of threads may.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, in words that fit after its name.
    pub(super) fn decode(&self, i: usize) -> Result<Decoded, String> {
        match picture::extension(self.name(i)) {
            Some(extension) if picture::UNREAD.contains(&&*extension) => {
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
                // Archives share their directory, so a copy for this thread costs nothing.
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
        let entry = entry.map_err(|cause| {
            let path = cause.path().unwrap_or(root).to_path_buf();
            DataError::Read { path, cause: io::Error::from(cause) }
        })?;
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
        DataError::format(path, format!("it is no whole zip archive: {cause}; pack it again"))
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
                let problem = format!("`{name}` would lie outside of it; pack it again");
                return Err(DataError::format(path, problem));
            }
        }
    }
    Ok(files)
}

fn is_picture(name: &Path) -> bool {
    picture::extension(name).is_some_and(|extension| {
        picture::EXTENSIONS.contains(&&*extension) || picture::UNREAD.contains(&&*extension)
    })
}

/// Whether a file or a folder above it has a name that begins with a dot, as what systems leave beside pictures.
fn is_hidden(name: &Path) -> bool {
    let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    name.components().any(hidden)
}

/// Reads to the end; `None` if that is too far, whatever the file says of its size.
fn bounded(file: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}
