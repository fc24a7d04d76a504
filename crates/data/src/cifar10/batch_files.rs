//! The batch files: in a folder, or in an archive that is read without unpacking it to disk.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::{Archive, Entry};

use crate::bounded::read_at_most;
use crate::places::{absent, found_in};
use crate::{DataError, Split, gzip, regular};

/// One of the two official versions of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Binary,
    Python,
}

/// The batch files of one version.
#[derive(Debug)]
pub(super) struct BatchFiles {
    version: Version,
    /// The folder, or the archive.
    root: PathBuf,
    /// Files of an archive by name; `None` for a folder.
    unpacked: Option<HashMap<String, Vec<u8>>>,
}

const VERSIONS: [Version; 2] = [Version::Binary, Version::Python];
/// The data set's files have at most 31 MB; a larger file does not belong to it.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// The archive unpacks to 185 MB; beyond this it is another one, or a bomb.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

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

    /// Returns the file that names the classes.
    pub(super) fn meta(self) -> &'static str {
        match self {
            Self::Binary => "batches.meta.txt",
            Self::Python => "batches.meta",
        }
    }

    /// Returns the folders that hold the batches: those of the archive, of Kaggle and of Keras.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Binary => &["", "cifar-10-batches-bin", "cifar-10-binary/cifar-10-batches-bin"],
            Self::Python => &[
                "",
                "cifar-10-batches-py",
                "cifar-10-python/cifar-10-batches-py",
                "cifar-10-batches-py-target/cifar-10-batches-py",
            ],
        }
    }

    /// Returns the file names of the archive: the official one, and that of Keras.
    fn archives(self) -> &'static [&'static str] {
        match self {
            Self::Binary => &["cifar-10-binary.tar.gz", "cifar-10-binary.tar"],
            Self::Python => {
                &["cifar-10-python.tar.gz", "cifar-10-python.tar", "cifar-10-batches-py.tar.gz"]
            }
        }
    }
}

impl BatchFiles {
    /// Finds the batches of a split: in the folder `path`, in the unpacked folder or the archive in
    /// it, or in the archive `path` itself. If both versions exist, takes the binary one; their
    /// content is the same.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if there are none, [`DataError::Format`] if an archive is damaged or
    /// one of its files is far too large, [`DataError::Read`] if the system fails to read.
    pub(super) fn find(path: &Path, split: Split) -> Result<Self, DataError> {
        if path.is_file() {
            return Self::in_archive(path, split);
        }
        if !path.is_dir() {
            return Err(absent(path, "folder or archive"));
        }
        for version in VERSIONS {
            let mut folders = version.folders().iter().map(|folder| path.join(folder));
            let has_batch = |folder: &PathBuf| folder.join(version.batches(split)[0]).is_file();
            if let Some(root) = folders.find(has_batch) {
                return Ok(Self { version, root, unpacked: None });
            }
        }
        let archives = VERSIONS.into_iter().flat_map(Version::archives);
        match archives.map(|archive| path.join(archive)).find(|archive| archive.is_file()) {
            Some(archive) => Self::in_archive(&archive, split),
            None => {
                let problem = format!("{}; {}", no_batches(split), found_in(path));
                Err(DataError::missing(path, problem))
            }
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
            None => Err(DataError::missing(path, no_batches(split))),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Returns the path of a file, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Reads a file that must exist.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        let absent = || {
            let path = self.path_of(name);
            DataError::missing(&path, "file not found; fetch or unpack the data set again")
        };
        self.read_optional(name)?.ok_or_else(absent)
    }

    /// Reads a file if it exists.
    pub(super) fn read_optional(&self, name: &str) -> Result<Option<Vec<u8>>, DataError> {
        if let Some(unpacked) = &self.unpacked {
            return Ok(unpacked.get(name).cloned());
        }
        let path = self.path_of(name);
        let file = match regular::open(&path) {
            Ok((file, _)) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(DataError::read(&path)(cause)),
        };
        read_at_most(file, MAX_FILE_BYTES)
            .map_err(DataError::read(&path))?
            .map(Some)
            .ok_or_else(|| too_large(&path))
    }
}

/// Reads the files of an archive that have one of the names, in any of its folders.
fn unpack(path: &Path, names: &[&str]) -> Result<HashMap<String, Vec<u8>>, DataError> {
    let damaged = |cause: io::Error| {
        DataError::format(
            path,
            format!("it is not a complete tar archive: {cause}; fetch it again"),
        )
    };
    let mut unpacked = HashMap::new();
    let bounded = gzip::open(path)?.take(MAX_ARCHIVE_BYTES);
    for entry in Archive::new(bounded).entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if let Some(name) = name_of(&entry).filter(|name| names.contains(&name.as_str())) {
            let bytes = read_at_most(entry, MAX_FILE_BYTES).map_err(damaged)?;
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

fn too_large(path: &Path) -> DataError {
    DataError::format(path, "it has more than 64 MiB, so it is not a file of CIFAR-10")
}

fn no_batches(split: Split) -> String {
    let [binary, python] = VERSIONS.map(|version| version.batches(split)[0]);
    format!(
        "no {binary} or {python} in it, nor in cifar-10-batches-bin or cifar-10-batches-py below \
         it; name the folder of the binary or the Python version, or its .tar.gz"
    )
}
