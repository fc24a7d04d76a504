//! Flags and keys of how long to train and what to write along the way.

use std::path::PathBuf;

use ddpm_diffusion::{GridSpec, Sampler};
use ddpm_training::{DataOn, TrainConfig, TrainError};
use serde::Deserialize;

use super::set::set;
use super::span::Span;

/// How long to train and what to write along the way; may change when a run is resumed.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct PaceFlags {
    /// Total number of steps, or of epochs, as in 40ep.
    #[arg(long, value_name = "N")]
    steps: Option<Span>,

    /// Total number of passes over the data, instead of --steps.
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    epochs: Option<u32>,

    /// Steps (or epochs, as in 5ep) between checkpoints; 0: only at the end [default: 2000].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<Span>,

    /// Checkpoints to keep [default: 3].
    #[arg(long, value_name = "N")]
    keep: Option<usize>,

    /// Steps (or epochs) between pictures of samples; 0: none [default: 2000].
    #[arg(long, value_name = "STEPS")]
    sample_every: Option<Span>,

    /// Samples in each picture; 0: the default for the kind [default: 64 pictures, 2000 points].
    #[arg(long, value_name = "N")]
    samples: Option<usize>,

    /// Steps between lines of the log [default: 50].
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u32>,

    /// Steps (or epochs) between held-out losses; 0: only at the end [default: 1000].
    #[arg(long, value_name = "STEPS")]
    held_out_every: Option<Span>,

    /// Where to keep pictures while training; the results are the same [default: auto].
    #[arg(long, value_enum, value_name = "PLACE")]
    data_on: Option<DataOn>,

    /// Steps (or epochs) between measurements of the distance of samples from the data, with one at
    /// the end; 0: never [default: 0].
    #[arg(long, value_name = "STEPS", help_heading = "Judging samples")]
    eval_every: Option<Span>,

    /// Samples to draw for each measurement [default: 5000 pictures, 10000 points].
    #[arg(long, value_name = "N", help_heading = "Judging samples")]
    eval_count: Option<usize>,

    /// Sampler that draws them, such as ddim:eta=0.5 [default: the model's].
    #[arg(long, value_name = "SPEC", help_heading = "Judging samples")]
    eval_sampler: Option<Sampler>,

    /// Steps of that sampler [default: depends on the sampler].
    #[arg(long, value_name = "N", help_heading = "Judging samples")]
    eval_steps: Option<usize>,

    /// Time grid of that sampler, such as trailing or karras [default: depends on the sampler].
    #[arg(long, value_name = "SPEC", help_heading = "Judging samples")]
    eval_grid: Option<GridSpec>,

    /// Feature extractor for pictures: an ONNX file or a TorchScript module, described by a JSON
    /// file beside it as for eval [default: the small network built into this program].
    #[arg(long, value_name = "FILE", help_heading = "Judging samples")]
    extractor: Option<PathBuf>,
}

impl PaceFlags {
    /// Overrides the settings that are set here.
    ///
    /// * `items`: number of items in the data set.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if epochs amount to more steps than a run can count.
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
        // Absolute, so that the run can be resumed from any folder.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        set(&mut eval.extractor, self.extractor.as_ref().map(absolute).map(Some));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_spell_steps_as_a_number_and_epochs_as_text() {
        let pace: PaceFlags = toml::from_str("steps = 9\nsample_every = \"2ep\"").unwrap();
        assert_eq!((pace.steps, pace.sample_every), (Some(Span::Steps(9)), Some(Span::Epochs(2))));
        assert!(toml::from_str::<PaceFlags>("steps = -1").is_err());
    }
}
