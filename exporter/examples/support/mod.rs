//! What the examples share: samples of a package as the server draws them, and a judge of glyphs.

pub(crate) mod classifier;

pub(crate) mod sampling;
