//! The errors of an export.

use std::io;
use std::path::PathBuf;

use tch::TchError;

use super::graph::GraphError;

/// The reason why a network cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The network cannot be written as a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The package cannot be written, or its parts do not fit together.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// The process is out of range.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
    /// The picture of samples cannot be encoded.
    #[error("the picture of samples cannot be made: {0}")]
    Picture(io::Error),
    /// The weights cannot be written for other programs.
    #[error("the weights cannot be written: {0}")]
    Weights(String),
    /// The network computes nothing: its training diverged, or its file is damaged.
    #[error(
        "{name}: {count} of its {elements} numbers are NaN or infinite: the training diverged; \
         export an earlier checkpoint, or train again with a smaller --lr"
    )]
    NotFinite {
        /// The first tensor with such numbers.
        name: String,
        /// How many of its numbers are such.
        count: i64,
        /// All of its numbers.
        elements: usize,
    },
    /// The operating system refuses.
    #[error("{}: cannot be written: {cause}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Its error.
        cause: io::Error,
    },
    /// The operating system does not let a file of a package be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Its error.
        cause: io::Error,
    },
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}
