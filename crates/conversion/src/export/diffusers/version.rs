//! The version of the library.

/// The version of diffusers whose formats are written.
pub(super) const VERSION: &str = "0.42.1";
