//! Lengths of training: steps, or epochs.

use std::str::FromStr;

use serde::Deserialize;

/// Steps, or epochs; an epoch has one step per whole batch of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(super) enum Span {
    Steps(u32),
    Epochs(u32),
}

impl Span {
    /// Converts it to steps.
    ///
    /// * `epoch`: steps per epoch.
    ///
    /// # Errors
    ///
    /// Describes the problem if it is more steps than a run can count.
    pub(super) fn steps(self, epoch: usize) -> Result<u32, String> {
        let epochs = match self {
            Self::Steps(steps) => return Ok(steps),
            Self::Epochs(epochs) => epochs,
        };
        let steps = u128::from(epochs) * epoch as u128;
        u32::try_from(steps).map_err(|_| {
            let (most, fit) = (u32::MAX, u32::MAX as usize / epoch);
            format!(
                "has {epochs} epochs of {epoch} steps each: {steps} steps, but a run has at most \
                 {most}; ask for at most {fit} epochs"
            )
        })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit): (&str, fn(u32) -> Self) = match text.strip_suffix("ep") {
            Some(digits) => (digits, Self::Epochs),
            None => (text, Self::Steps),
        };
        let number = digits.trim().parse().map(unit);
        number.map_err(|_| "a number of steps, such as 2000, or of epochs, such as 5ep".to_owned())
    }
}

/// A span as spelt in files.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl TryFrom<NumberOrText> for Span {
    type Error = String;

    fn try_from(spelt: NumberOrText) -> Result<Self, String> {
        match spelt {
            NumberOrText::Number(steps) => Ok(Self::Steps(steps)),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_one_step_per_whole_batch() {
        assert_eq!("2040ep".parse::<Span>().unwrap().steps(50_000 / 128), Ok(795_600));
        assert_eq!("7".parse::<Span>().unwrap().steps(390), Ok(7));
        assert!("5 pages".parse::<Span>().unwrap_err().contains("5ep"));
    }

    #[test]
    fn epochs_of_more_steps_than_a_run_can_count_are_refused() {
        // 2^32 - 1 = 5 * 858,993,459.
        assert_eq!(Span::Epochs(858_993_459).steps(5), Ok(u32::MAX));
        let refused = Span::Epochs(858_993_460).steps(5).unwrap_err();
        for part in ["858993460 epochs", "4294967300 steps", "4294967295", "858993459 epochs"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}
