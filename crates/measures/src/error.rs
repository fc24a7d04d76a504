//! Why samples could not be measured.

use std::path::PathBuf;

/// Grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Look at what made this row: a feature is not a finite number.
    #[error("row {row}: feature {column} is {value}; features must be finite numbers")]
    NotFinite {
        /// Position in its set, from 0.
        row: usize,
        /// Index of the feature, from 0.
        column: usize,
        /// Its value.
        value: f32,
    },
    /// A batch is not a whole number of rows, or rows have no or too many features.
    #[error("{0}")]
    Shape(String),
    /// The two sets come from different feature extractors.
    #[error(
        "one side has {left} features per row, the other {right}: both must come from one extractor"
    )]
    Dimension {
        /// Features of the first set.
        left: usize,
        /// Features of the second.
        right: usize,
    },
    /// Give more rows.
    #[error("{measure} needs at least {least} rows per set, got {got}")]
    TooFew {
        /// The measure.
        measure: &'static str,
        /// Fewest rows for which it is defined.
        least: usize,
        /// Rows of the smaller set.
        got: usize,
    },
    /// An option is out of range.
    #[error("{option}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it must be, and what it is.
        reason: String,
    },
    /// A row that should be class probabilities is not.
    #[error(
        "row {row} is not class probabilities: {what}; if these are logits, declare them as logits"
    )]
    NoProbabilities {
        /// Position in its set, from 0.
        row: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Numbers are not a valid mean and covariance.
    #[error("statistics: {0}")]
    Statistics(String),
    /// A row does not fit the requested binary16.
    #[error(
        "row {row}: {what} is {value:.4e}, beyond the largest binary16, 65504; use f64 arithmetic"
    )]
    Binary16 {
        /// Position in its set, from 0.
        row: usize,
        /// The number that does not fit.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A statistics file is damaged, or has an unsupported form.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The system failed to read or write a file.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}
