//! Why samples could not be judged.

use std::path::PathBuf;

/// Grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Look at what made this row: a feature extractor gave no number.
    #[error("row {row}: feature {column} is {value}; features must be finite numbers")]
    NotFinite {
        /// Position in its set, from 0.
        row: usize,
        /// Which feature, from 0.
        column: usize,
        /// What it is.
        value: f32,
    },
    /// A batch is not a whole number of rows, or rows are of no or of too many features.
    #[error("{0}")]
    Shape(String),
    /// The two sets come from different feature extractors.
    #[error(
        "one side has {left} features a row, the other {right}: both must come from one extractor"
    )]
    Dimension {
        /// Features of the first set.
        left: usize,
        /// Features of the second.
        right: usize,
    },
    /// Give more rows.
    #[error("{measure} needs at least {least} rows a set, got {got}")]
    TooFew {
        /// What was to be computed.
        measure: &'static str,
        /// The fewest rows it is defined for.
        least: usize,
        /// The rows of the smaller set.
        got: usize,
    },
    /// An option is out of range.
    #[error("{option}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it must be, with the number it is.
        reason: String,
    },
    /// A row that should be the probabilities of classes is none.
    #[error("row {row} is no probabilities of classes: {what}; if these are logits, say so")]
    NoProbabilities {
        /// Position in its set, from 0.
        row: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Numbers given as a mean and a covariance are none.
    #[error("statistics: {0}")]
    Statistics(String),
    /// A row does not fit binary16, which was asked for.
    #[error(
        "row {row}: {what} is {value:.4e}, beyond the largest binary16, 65504; use f64 arithmetic"
    )]
    Binary16 {
        /// Position in its set, from 0.
        row: usize,
        /// Which number does not fit.
        what: &'static str,
        /// How large it is.
        value: f64,
    },
    /// A statistics file is damaged, or not of the form that is read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and what would be right.
        reason: String,
    },
    /// The system refused to read or write a file.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
