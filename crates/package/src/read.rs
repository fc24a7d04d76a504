//! Reads packages, trusting only what the manifest's digests cover.

use std::borrow::Cow;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{
    Error, FileEntry, Golden, GraphName, MANIFEST_FILE, Manifest, PathFault, Sha256Hex,
    portable_tolerance,
};

/// A package whose files match its manifest.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Manifest,
    digest: Sha256Hex,
    source: Source,
}

/// Location of a package's files.
#[derive(Debug, Clone)]
enum Source {
    Folder(PathBuf),
    Embedded {
        /// Stands for a folder in messages.
        name: PathBuf,
        files: &'static [(&'static str, &'static [u8])],
    },
}

impl Source {
    /// Returns the folder, or what stands for it in messages.
    fn place(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::Embedded { name: folder, .. } => folder,
        }
    }
}

impl Package {
    /// Opens the package in a folder and verifies every file.
    ///
    /// # Errors
    ///
    /// [`Error::NotAPackage`], [`Error::Manifest`] or [`Error::Version`] for the manifest;
    /// [`Error::Path`] for a path that leaves the package or a link; [`Error::Corrupt`] for a file
    /// that is missing, truncated or changed; [`Error::Io`] if the system fails to read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(MANIFEST_FILE);
        if fs::metadata(folder).is_ok() && fs::symlink_metadata(&path).is_err() {
            return Err(Error::NotAPackage(folder.into()));
        }
        let json = fs::read(&path).map_err(Error::io(&path))?;
        Self::verified(&path, &json, Source::Folder(folder.into()))
    }

    /// Opens a package whose files are part of the binary, as (path, bytes).
    ///
    /// # Errors
    ///
    /// As [`Package::open`].
    pub fn embedded(
        name: &str,
        files: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, Error> {
        let place = Path::new("embedded").join(name);
        let manifest = files.iter().find(|(path, _)| *path == MANIFEST_FILE);
        let (_, json) = manifest.ok_or_else(|| Error::NotAPackage(place.clone()))?;
        let path = place.join(MANIFEST_FILE);
        Self::verified(&path, json, Source::Embedded { name: place, files })
    }

    fn verified(path: &Path, json: &[u8], source: Source) -> Result<Self, Error> {
        let manifest = Manifest::parse(path, json)?;
        let package = Self { manifest, digest: Sha256Hex::of(json), source };
        for file in &package.manifest.files {
            package.read(&file.path)?;
        }
        Ok(package)
    }

    /// Returns the folder of the package, or what stands for it in messages.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.source.place()
    }

    /// Returns the checked manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the SHA-256 of the manifest: the identity of the model.
    #[must_use]
    pub fn digest(&self) -> &Sha256Hex {
        &self.digest
    }

    /// Reads a file and verifies it again, so that the bytes used are those digested.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], [`Error::Corrupt`] or [`Error::Io`] as [`Package::open`].
    pub fn read(&self, path: &str) -> Result<Cow<'static, [u8]>, Error> {
        let listed = self.manifest.files.iter().find(|file| file.path == path);
        let place = self.source.place();
        let unlisted =
            || Error::Path { package: place.into(), path: path.into(), fault: PathFault::Unlisted };
        let file = listed.ok_or_else(unlisted)?;
        let bytes = match &self.source {
            Source::Folder(folder) => Cow::Owned(read_plain(folder, file)?),
            Source::Embedded { files, .. } => {
                let found = files.iter().find(|(name, _)| *name == path);
                let missing = || corrupt(place, path, "it is missing".into());
                Cow::Borrowed(found.ok_or_else(missing)?.1)
            }
        };
        verify(place, file, &bytes)?;
        Ok(bytes)
    }

    /// Reads the portable graph, an ONNX file.
    ///
    /// # Errors
    ///
    /// As [`Package::read`].
    pub fn portable_graph(&self) -> Result<Cow<'static, [u8]>, Error> {
        self.read(&self.manifest.graphs.portable)
    }

    /// Reads a graph, an ONNX file.
    ///
    /// # Errors
    ///
    /// [`Error::NoGraph`] if the package lacks it; otherwise as [`Package::read`].
    pub fn graph(&self, graph: GraphName) -> Result<Cow<'static, [u8]>, Error> {
        match graph {
            GraphName::Portable => self.portable_graph(),
            _ => self.read(&self.variant(graph)?.path),
        }
    }

    /// Reads the golden vectors.
    ///
    /// # Errors
    ///
    /// As [`Package::read`] and [`Golden::parse`].
    pub fn golden(&self) -> Result<Golden, Error> {
        self.golden_at(&self.manifest.golden)
    }

    /// Reads the golden vectors of a graph.
    ///
    /// # Errors
    ///
    /// As [`Package::graph`] and [`Golden::parse`].
    pub fn golden_of(&self, graph: GraphName) -> Result<Golden, Error> {
        match graph {
            GraphName::Portable => self.golden(),
            _ => self.golden_at(&self.variant(graph)?.golden),
        }
    }

    /// Returns the largest [`Comparison::relative`](crate::Comparison::relative) allowed for a
    /// graph on a provider.
    ///
    /// # Errors
    ///
    /// [`Error::NoGraph`] if the package lacks the graph.
    pub fn tolerance_of(&self, graph: GraphName, provider: &str) -> Result<f64, Error> {
        match graph {
            GraphName::Portable => Ok(portable_tolerance(provider)),
            _ => Ok(self.variant(graph)?.tolerance),
        }
    }

    fn variant(&self, graph: GraphName) -> Result<&crate::Variant, Error> {
        let missing = || Error::NoGraph {
            package: self.place().into(),
            graph,
            present: self.manifest.graph_names(),
        };
        self.manifest.variant(graph).ok_or_else(missing)
    }

    fn golden_at(&self, path: &str) -> Result<Golden, Error> {
        let bytes = self.read(path)?;
        Golden::parse(&self.manifest, &bytes).map_err(|error| match error {
            Error::Golden(reason) => {
                Error::Golden(format!("{}: {reason}", self.source.place().display()))
            }
            other => other,
        })
    }
}

fn read_plain(folder: &Path, file: &FileEntry) -> Result<Vec<u8>, Error> {
    let path = plain_path(folder, &file.path)?;
    let found = fs::metadata(&path).map_err(Error::io(&path))?.len();
    // Before reading: a file of the wrong size may be too large to read.
    if found != file.size {
        return Err(corrupt(
            folder,
            &file.path,
            format!("it has {found} bytes instead of {}", file.size),
        ));
    }
    fs::read(&path).map_err(Error::io(&path))
}

/// Returns `folder/path` if the path is relative, stays inside and follows no link.
fn plain_path(folder: &Path, path: &str) -> Result<PathBuf, Error> {
    let refuse = |fault| Error::Path { package: folder.into(), path: path.into(), fault };
    check_relative(path).map_err(refuse)?;
    let mut full = folder.to_path_buf();
    for part in Path::new(path).components() {
        full.push(part);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_symlink() => return Err(refuse(PathFault::Link)),
            Ok(_) => {}
            Err(_) => return Err(corrupt(folder, path, "it is missing".into())),
        }
    }
    if !full.is_file() {
        return Err(refuse(PathFault::Empty));
    }
    Ok(full)
}

/// Checks the rules that a path must obey regardless of the disk.
pub(crate) fn check_relative(path: &str) -> Result<(), PathFault> {
    if path.is_empty() || path.contains('\0') {
        return Err(PathFault::Empty);
    }
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => {}
            Component::ParentDir => return Err(PathFault::Leaves),
            Component::CurDir => return Err(PathFault::Empty),
            Component::RootDir | Component::Prefix(_) => return Err(PathFault::NotRelative),
        }
    }
    Ok(())
}

fn verify(package: &Path, file: &FileEntry, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256Hex::of(bytes);
    if found == file.sha256 {
        return Ok(());
    }
    Err(corrupt(package, &file.path, format!("its SHA-256 is {found} instead of {}", file.sha256)))
}

fn corrupt(package: &Path, path: &str, reason: String) -> Error {
    Error::Corrupt { package: package.into(), path: path.into(), reason }
}
