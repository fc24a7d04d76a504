//! Flags and keys of how long a run takes and what it leaves on the way.

use std::path::PathBuf;

use ddpm_diffusion::{GridSpec, Sampler};
use serde::Deserialize;

use super::{Span, set};
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
    /// Steps (or epochs) between judgements of samples: how far they are from the data; 0: never. If ever,
    /// there is one at the end [default: 0].
    #[arg(long, value_name = "STEPS", help_heading = "Judging samples")]
    eval_every: Option<Span>,

    /// Samples that are drawn for it [default: 5000 pictures, 10000 points].
    #[arg(long, value_name = "N", help_heading = "Judging samples")]
    eval_count: Option<usize>,

    /// The sampler that draws them, such as ddim:eta=0.5 [default: as suits the model].
    #[arg(long, value_name = "SPEC", help_heading = "Judging samples")]
    eval_sampler: Option<Sampler>,

    /// Its steps [default: as suits the sampler].
    #[arg(long, value_name = "N", help_heading = "Judging samples")]
    eval_steps: Option<usize>,

    /// Which points it visits, such as trailing or karras [default: as suits the sampler].
    #[arg(long, value_name = "SPEC", help_heading = "Judging samples")]
    eval_grid: Option<GridSpec>,

    /// From pictures to features: an ONNX file or a TorchScript module, with its description in a JSON
    /// file beside it, as of eval [default: the small network that comes with this program].
    #[arg(long, value_name = "FILE", help_heading = "Judging samples")]
    extractor: Option<PathBuf>,
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
        let eval = &mut config.eval;
        set(&mut eval.every, steps("eval_every", self.eval_every)?);
        set(&mut eval.count, self.eval_count);
        set(&mut eval.sampler, self.eval_sampler.map(Some));
        set(&mut eval.num_steps, self.eval_steps.map(Some));
        set(&mut eval.grid, self.eval_grid.clone().map(Some));
        // A run can be resumed from anywhere.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        set(&mut eval.extractor, self.extractor.as_ref().map(absolute).map(Some));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_steps_as_a_number_and_epochs_as_text() {
        let pace: Pace = toml::from_str("steps = 9\nsample_every = \"2ep\"").unwrap();
        assert_eq!((pace.steps, pace.sample_every), (Some(Span::Steps(9)), Some(Span::Epochs(2))));
        assert!(toml::from_str::<Pace>("steps = -1").is_err());
    }
}
