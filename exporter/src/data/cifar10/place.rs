//! Where the batches lie: in a folder, or in an archive that is read without unpacking it to disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::{Archive, Entry};

use crate::data::{DataError, Split, gzip};

/// Which of the two versions of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Binary,
    Python,
}

/// The batches of one version.
#[derive(Debug)]
pub(super) struct Place {
    version: Version,
    /// The folder, or the archive.
    root: PathBuf,
    /// What an archive holds, by name; `None` for a folder.
    unpacked: Option<HashMap<String, Vec<u8>>>,
}

const VERSIONS: [Version; 2] = [Version::Binary, Version::Python];
/// Each file of the data set has 31 MB at most; a larger one is none of it.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Version {
    pub(super) fn batches(self, split: Split) -> &'static [&'static str] {
        match (self, split) {
            (Self::Binary, Split::Test) => &["test_batch.bin"],
            (Self::Python, Split::Test) => &["test_batch"],
            (Self::Binary, _) => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            (Self::Python, _) => {
                &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]
            }
        }
    }

    /// The file that names the classes.
    pub(super) fn meta(self) -> &'static str {
        match self {
            Self::Binary => "batches.meta.txt",
            Self::Python => "batches.meta",
        }
    }

    /// What the archive unpacks to.
    fn folder(self) -> &'static str {
        match self {
            Self::Binary => "cifar-10-batches-bin",
            Self::Python => "cifar-10-batches-py",
        }
    }

    /// What the archive is called.
    fn archive(self) -> &'static str {
        match self {
            Self::Binary => "cifar-10-binary.tar.gz",
            Self::Python => "cifar-10-python.tar.gz",
        }
    }
}

impl Place {
    /// Finds the batches of a split: in `path`, in the folder below it that an archive unpacks to, in an archive in
    /// `path`, or in the archive that `path` is. Of two versions the binary one is taken; they hold the same.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if there are none, [`DataError::Format`] if an archive is damaged or a file of it is
    /// far too large, [`DataError::Read`] if the system refuses.
    pub(super) fn find(path: &Path, split: Split) -> Result<Self, DataError> {
        if path.is_file() {
            return Self::in_archive(path, split);
        }
        for version in VERSIONS {
            let folders = [path.to_path_buf(), path.join(version.folder())];
            let has_batch = |folder: &PathBuf| folder.join(version.batches(split)[0]).is_file();
            if let Some(root) = folders.into_iter().find(has_batch) {
                return Ok(Self { version, root, unpacked: None });
            }
        }
        let mut archives = VERSIONS.map(|version| path.join(version.archive())).into_iter();
        match archives.find(|archive| archive.is_file()) {
            Some(archive) => Self::in_archive(&archive, split),
            None => Err(DataError::missing(path, nothing_here(split))),
        }
    }

    fn in_archive(path: &Path, split: Split) -> Result<Self, DataError> {
        let wanted = |version: Version| [version.batches(split), &[version.meta()]].concat();
        let names: Vec<&str> = VERSIONS.into_iter().flat_map(wanted).collect();
        let unpacked = unpack(path, &names)?;
        let has_batch = |version: &Version| unpacked.contains_key(version.batches(split)[0]);
        match VERSIONS.into_iter().find(has_batch) {
            Some(version) => {
                Ok(Self { version, root: path.to_path_buf(), unpacked: Some(unpacked) })
            }
            None => Err(DataError::missing(path, nothing_here(split))),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// What a message calls a file.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Reads a file that must be there.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        let absent = || {
            let path = self.path_of(name);
            DataError::missing(&path, "it is not there; fetch or unpack the data set again")
        };
        self.read_if_there(name)?.ok_or_else(absent)
    }

    /// Reads a file if there is one.
    pub(super) fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, DataError> {
        if let Some(unpacked) = &self.unpacked {
            return Ok(unpacked.get(name).cloned());
        }
        let path = self.path_of(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(DataError::read(&path)(cause)),
        };
        bounded(file).map_err(DataError::read(&path))?.map(Some).ok_or_else(|| too_large(&path))
    }
}

/// Reads those files of an archive that have one of the names, in whatever folder.
fn unpack(path: &Path, names: &[&str]) -> Result<HashMap<String, Vec<u8>>, DataError> {
    let damaged = |cause: io::Error| {
        DataError::format(path, format!("it is no whole tar archive: {cause}; fetch it again"))
    };
    let mut unpacked = HashMap::new();
    for entry in Archive::new(gzip::open(path)?).entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if let Some(name) = name_of(&entry).filter(|name| names.contains(&name.as_str())) {
            let bytes = bounded(entry).map_err(damaged)?;
            let bytes = bytes.ok_or_else(|| too_large(&path.join(&name)))?;
            unpacked.insert(name, bytes);
        }
    }
    Ok(unpacked)
}

fn name_of(entry: &Entry<'_, impl Read>) -> Option<String> {
    let path = entry.path().ok().filter(|_| entry.header().entry_type().is_file())?;
    Some(path.file_name()?.to_str()?.to_owned())
}

/// Reads to the end; `None` if that is too far.
fn bounded(file: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}

fn too_large(path: &Path) -> DataError {
    DataError::format(path, "it has more than 64 MiB, which no file of CIFAR-10 has")
}

fn nothing_here(split: Split) -> String {
    let [binary, python] = VERSIONS.map(|version| version.batches(split)[0]);
    format!(
        "there is no {binary} or {python} in it, nor in cifar-10-batches-bin or cifar-10-batches-py below it; name \
         the folder of the binary or the Python version, or its .tar.gz"
    )
}
