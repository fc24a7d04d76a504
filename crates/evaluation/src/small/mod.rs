//! The extractor that we ship: a small convolutional network trained to classify glyphs and
//! handwritten digits. Its features are those of the last level.
//!
//! It serves to compare models of small pictures with each other, at home or in a test. Its
//! distances are not comparable with published ones. `make extractor` trains it again.

use crate::preprocessing::Preprocessing;

/// Its name in reports.
pub const NAME: &str = "ddpm-small";

/// The ONNX file.
pub const GRAPH: &[u8] = include_bytes!("extractor.onnx");

/// Returns its preprocessing, from the JSON beside the file.
///
/// # Panics
///
/// Never: a test reads it.
#[must_use]
pub fn preprocessing() -> Preprocessing {
    Preprocessing::parse(include_str!("extractor.onnx.json")).expect("a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_is_small_and_described() {
        assert!(GRAPH.len() <= 300_000, "{} bytes", GRAPH.len());
        let described = preprocessing();
        assert_eq!((described.dimension, described.size), (64, Some([32, 32])));
        assert!(!described.is_inception());
    }
}
