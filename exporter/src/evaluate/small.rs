//! The extractor that we ship: a small convolutional network that was taught to tell glyphs and
//! handwritten digits apart, of which the last level is read.
//!
//! It is for comparing one model of small pictures with another, at home or in a test. Its distances say
//! nothing beside published ones. `make extractor` trains it again.

pub mod train;

mod network;

mod epoch;
pub use epoch::one_epoch;

use super::preprocessing::Preprocessing;

/// What reports call it.
pub const NAME: &str = "ddpm-small";

/// The ONNX file.
pub const GRAPH: &[u8] = include_bytes!("small/extractor.onnx");

/// What it is fed, as it is written beside the file.
///
/// # Panics
///
/// Never: a test reads it.
#[must_use]
pub fn preprocessing() -> Preprocessing {
    Preprocessing::parse(include_str!("small/extractor.onnx.json")).expect("a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_is_small_and_described() {
        assert!(GRAPH.len() <= 300_000, "{} bytes", GRAPH.len());
        assert_eq!(preprocessing(), train::preprocessing());
        assert!(!preprocessing().is_inception());
    }
}
