//! Why there is no picture.

/// What was asked for cannot be shown. The text says why, and what to ask for
/// instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);
