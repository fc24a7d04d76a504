//! Why a package cannot be read or written: what, where, and what to do.

use std::io;
use std::path::PathBuf;

use crate::GraphName;

/// Why a package cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or its manifest is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no manifest, so this is not a package.
    #[error("{}: not a model package: it has no ddpm.json", .0.display())]
    NotAPackage(PathBuf),
    /// The manifest is not valid JSON or lacks a field.
    #[error("{}: the manifest cannot be read: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The manifest has a version that this build does not support.
    #[error(
        "{}: manifest version {found} needs a newer ddpm: this one reads version 1",
        path.display()
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// A path in the manifest is not allowed.
    #[error("{}: path \"{path}\" is refused: {fault}", package.display())]
    Path {
        /// The package.
        package: PathBuf,
        /// The path in the manifest.
        path: String,
        /// The rule it breaks.
        fault: PathFault,
    },
    /// A file differs from the manifest: it is incomplete or was changed.
    #[error("{}: {path}: {reason}; copy the package again", package.display())]
    Corrupt {
        /// The package.
        package: PathBuf,
        /// The path in the manifest.
        path: String,
        /// Size or digest, expected and found.
        reason: String,
    },
    /// The package has no such graph.
    #[error(
        "{}: it has no graph {graph}, only {}; add it with `ddpm-exporter convert`",
        package.display(),
        present.iter().map(|graph| graph.name()).collect::<Vec<_>>().join(", ")
    )]
    NoGraph {
        /// The package.
        package: PathBuf,
        /// The graph that was asked for.
        graph: GraphName,
        /// The graphs that it has.
        present: Vec<GraphName>,
    },
    /// The golden vectors cannot be used.
    #[error("{0}")]
    Golden(String),
    /// The target of a write already exists.
    #[error("{}: already exists; name another folder, or overwrite it with --force", .0.display())]
    Exists(PathBuf),
    /// The target of a write is something else than a package.
    #[error(
        "{}: already exists and is no model package, so nothing replaces it; name another folder",
        .0.display()
    )]
    Occupied(PathBuf),
}

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Paths are relative to the package.
    #[error("it is not relative")]
    NotRelative,
    /// Paths stay inside the package.
    #[error("it leaves the package")]
    Leaves,
    /// Files are plain files.
    #[error("it is a link or goes through one")]
    Link,
    /// Paths name a plain file.
    #[error("it is empty or not a plain path")]
    Empty,
    /// Every file used is listed with its digest.
    #[error("it is not among the package's files")]
    Unlisted,
}

impl Error {
    /// Reports what is wrong with golden vectors.
    pub(crate) fn golden(reason: &impl ToString) -> Self {
        Self::Golden(format!("golden vectors: {}", reason.to_string()))
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
