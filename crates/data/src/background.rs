//! What lies behind transparent pictures.

use std::fmt;

/// The colour behind transparent pictures, which networks see without transparency.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// 0, which is -1 at model scale.
    #[default]
    Black,
    /// 255, which is 1 at model scale.
    White,
}

impl Background {
    /// Composes one value, in [0, 255], over the background; alpha is 255 where it is opaque.
    pub(crate) fn under(self, value: u8, alpha: u8) -> u8 {
        let behind = match self {
            Self::Black => 0,
            Self::White => 255,
        };
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + behind * (255 - alpha) + 127) / 255) as u8
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Black => "black",
            Self::White => "white",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_shows_as_far_as_a_value_is_transparent() {
        for (value, alpha, black, white) in
            [(200, 255, 200, 200), (200, 0, 0, 255), (255, 128, 128, 255), (0, 128, 0, 127)]
        {
            assert_eq!(Background::Black.under(value, alpha), black);
            assert_eq!(Background::White.under(value, alpha), white);
        }
    }
}
