//! Lengths of training: steps, or epochs.

use std::str::FromStr;

use serde::Deserialize;

/// Steps, or epochs of as many steps as there are whole batches in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(super) enum Span {
    Steps(u32),
    Epochs(u32),
}

impl Span {
    /// The steps that it is.
    ///
    /// * `epoch`: steps of one.
    pub(super) fn steps(self, epoch: usize) -> u32 {
        match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => {
                u32::try_from(u64::from(epochs) * epoch as u64).unwrap_or(u32::MAX)
            }
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, of): (&str, fn(u32) -> Self) = match text.strip_suffix("ep") {
            Some(digits) => (digits, Self::Epochs),
            None => (text, Self::Steps),
        };
        let number = digits.trim().parse().map(of);
        number.map_err(|_| "a number of steps, such as 2000, or of epochs, such as 5ep".to_owned())
    }
}

/// How files say it.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl TryFrom<NumberOrText> for Span {
    type Error = String;

    fn try_from(said: NumberOrText) -> Result<Self, String> {
        match said {
            NumberOrText::Number(steps) => Ok(Self::Steps(steps)),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_as_many_steps_as_there_are_whole_batches() {
        assert_eq!("2040ep".parse::<Span>().unwrap().steps(50_000 / 128), 795_600);
        assert_eq!("7".parse::<Span>().unwrap().steps(390), 7);
        assert_eq!(Span::Epochs(u32::MAX).steps(390), u32::MAX);
        assert!("5 pages".parse::<Span>().unwrap_err().contains("5ep"));
    }
}
