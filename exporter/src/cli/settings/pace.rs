//! Flags and keys of how long a run takes and what it leaves on the way.

use std::str::FromStr;

use serde::Deserialize;

use super::set;
use crate::train::{DataOn, TrainConfig, TrainError};

/// How long to train and what to leave on the way: may change when a run goes on.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Pace {
    /// Steps in total, or epochs, as in 40ep.
    #[arg(long, value_name = "N")]
    steps: Option<Span>,

    /// Passes over the data in total, instead of steps.
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    epochs: Option<u32>,

    /// Steps (or epochs, as in 5ep) between checkpoints; 0: only at the end [default: 2000].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<Span>,

    /// Checkpoints kept [default: 3].
    #[arg(long, value_name = "N")]
    keep: Option<usize>,

    /// Steps (or epochs) between pictures of samples; 0: none [default: 2000].
    #[arg(long, value_name = "STEPS")]
    sample_every: Option<Span>,

    /// Samples in a picture; 0: as suits the kind [default: 64 pictures, 2000 points].
    #[arg(long, value_name = "N")]
    samples: Option<usize>,

    /// Steps between lines of the log [default: 50].
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u32>,

    /// Steps (or epochs) between losses on the items held out; 0: only at the end [default: 1000].
    #[arg(long, value_name = "STEPS")]
    held_out_every: Option<Span>,

    /// Where pictures lie while training; the results are the same [default: auto].
    #[arg(long, value_enum, value_name = "PLACE")]
    data_on: Option<DataOn>,
}

impl Pace {
    /// Overrides what was given.
    ///
    /// * `items`: how many the data set has.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for epochs of more steps than a run can count.
    pub(in crate::cli) fn apply(
        &self,
        config: &mut TrainConfig,
        items: usize,
    ) -> Result<(), TrainError> {
        let trained = items.saturating_sub(config.watch.held_out);
        let epoch = (trained / config.batch_size.max(1)).max(1);
        let steps = |setting: &'static str, span: Option<Span>| {
            let steps = span.map(|span| span.steps(epoch)).transpose();
            steps.map_err(|problem| TrainError::Setting { setting, problem })
        };
        set(&mut config.steps, steps("epochs", self.epochs.map(Span::Epochs))?);
        set(&mut config.steps, steps("steps", self.steps)?);
        let intervals = &mut config.intervals;
        set(&mut intervals.checkpoint_every, steps("checkpoint_every", self.checkpoint_every)?);
        set(&mut intervals.sample_every, steps("sample_every", self.sample_every)?);
        set(&mut intervals.keep, self.keep);
        let watch = &mut config.watch;
        set(&mut watch.held_out_every, steps("held_out_every", self.held_out_every)?);
        set(&mut watch.samples, self.samples);
        set(&mut watch.log_every, self.log_every);
        set(&mut config.data_on, self.data_on);
        Ok(())
    }
}

/// Steps, or epochs of as many steps as there are whole batches in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(super) enum Span {
    Steps(u32),
    Epochs(u32),
}

impl Span {
    /// Counts steps.
    ///
    /// * `epoch`: steps that an epoch has.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is more steps than a run can count.
    fn steps(self, epoch: usize) -> Result<u32, String> {
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
        assert_eq!("2040ep".parse::<Span>().unwrap().steps(50_000 / 128), Ok(795_600));
        assert_eq!("7".parse::<Span>().unwrap().steps(390), Ok(7));
        assert!("5 pages".parse::<Span>().unwrap_err().contains("5ep"));
    }

    #[test]
    fn epochs_of_more_steps_than_a_run_can_count_are_refused() {
        // 2^32 - 1 = 5 * 858,993,459.
        assert_eq!(Span::Epochs(858_993_459).steps(5), Ok(u32::MAX));
        let refused = Span::Epochs(858_993_460).steps(5).unwrap_err();
        for said in ["858993460 epochs", "4294967300 steps", "4294967295", "858993459 epochs"] {
            assert!(refused.contains(said), "{said}: {refused}");
        }
    }

    #[test]
    fn files_say_steps_as_a_number_and_epochs_as_text() {
        let pace: Pace = toml::from_str("steps = 9\nsample_every = \"2ep\"").unwrap();
        assert_eq!((pace.steps, pace.sample_every), (Some(Span::Steps(9)), Some(Span::Epochs(2))));
        assert!(toml::from_str::<Pace>("steps = -1").is_err());
    }
}
