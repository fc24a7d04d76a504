//! Shared by the examples: samples of a package as the server draws them, and a judge of glyphs.

pub(crate) mod epoch;

pub(crate) mod classifier;

pub(crate) mod sampling;
