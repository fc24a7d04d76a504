//! The error of everything that draws.

/// The samples cannot be drawn as requested. The text says why, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);
