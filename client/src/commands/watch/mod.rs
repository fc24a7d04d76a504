//! `ddpm watch`: samples in the terminal while they form.

mod history;
mod keys;
mod lines;
mod player;
mod screen;
mod show;

use std::io::{self, IsTerminal};
use std::num::NonZeroU32;
use std::process::ExitCode;

use ddpm_client::{Delivery, Error, Format, Frames, Model, ModelKind, PreviewKind, Request, Watch};
use ddpm_console::{at_least_one, note};

use super::context::{Context, describe, limits};
use super::flags::{EditingFlags, SamplingFlags, SelectionFlags, ServingFlags, apply};
use super::sample::{actual_steps, default_count};

/// Most steps that are shown, unless `--every` is set.
const MOST_STEPS: u32 = 100;

/// Most bytes of pictures that are kept to go back to; runs of many large samples show fewer steps.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    #[command(flatten, next_help_heading = "Which samples")]
    selection: SelectionFlags,

    #[command(flatten, next_help_heading = "How to sample")]
    sampling: SamplingFlags,

    #[command(flatten, next_help_heading = "What to start from")]
    editing: EditingFlags,

    #[command(flatten, next_help_heading = "How to serve")]
    serving: ServingFlags,

    /// What is shown first, the noisy samples or the present predictions of the finished ones; the
    /// key x shows the other [default: the predictions of pictures, the noisy samples of points].
    #[arg(long, value_enum, value_name = "KIND", help_heading = "What to show")]
    show: Option<PreviewKind>,

    /// Show every N-th step; all that are shown are kept in memory [default: at most 100 steps and
    /// 256 MiB].
    #[arg(long, value_name = "N", help_heading = "What to show")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    every: Option<NonZeroU32>,

    /// Print a line per step instead of pictures, as where there is no terminal.
    #[arg(long, help_heading = "What to show")]
    plain: bool,
}

/// A run that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) model: Model,
    pub(super) request: Request,
    /// Indices of the samples that are shown, in their order.
    pub(super) indices: Vec<u64>,
    /// Samples of the run.
    pub(super) samples: u32,
    /// What is shown first.
    pub(super) kind: PreviewKind,
}

/// Runs the command. The exit code is 1 if a sample failed or was cut off.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    let client = context.connect().await?;
    let model = describe(&client, &args.model).await?;
    let most = limits(&client).await?.max_watched_samples;
    if most == 0 {
        return Err(Error::Request("this server sends no previews: use ddpm sample".to_owned()));
    }
    let inputs = args.editing.read(&args.sampling, &model)?;
    let indices = args.selection.indices(default_count(&inputs, &model));
    let request = Request::new(&model.name, indices.clone())
        .class_labels(args.selection.labels(&model)?)
        .format(shown_format(model.kind))
        .request_id(&args.selection.request_id);
    let request = apply(request, args.selection.seed, Request::seed);
    let request = args.serving.apply(inputs.apply(args.sampling.apply(request)?));
    let shown: Vec<u64> = indices.iter().take(most as usize).collect();
    if shown.len() < indices.count() as usize {
        note!(
            "showing the first {most} of {} samples, the most that the server previews",
            indices.count()
        );
    }
    let num_steps = actual_steps(&client, &request).await?;
    let least = every(&model, shown.len() as u64, num_steps);
    let watch = Watch {
        indices: shown.clone(),
        frames: Frames::Both,
        every_steps: args.every.map_or(least, NonZeroU32::get),
        format: None,
        delivery: Delivery::All,
    };
    let kind = args.show.unwrap_or(match model.kind {
        ModelKind::Image => PreviewKind::X0,
        ModelKind::Points2d => PreviewKind::Xt,
    });
    let request = request.watch(watch);
    let watched = Watched { model, request, indices: shown, samples: indices.count(), kind };
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if args.plain || context.json || !is_terminal {
        lines::run(&client, watched, context.json).await
    } else {
        show::run(&client, watched).await
    }
}

fn shown_format(kind: ModelKind) -> Format {
    match kind {
        ModelKind::Image => Format::RawU8,
        ModelKind::Points2d => Format::RawF32,
    }
}

/// Returns the number n of which every n-th step is shown, so that neither the steps nor the bytes
/// of their pictures are too many.
///
/// * `samples`: how many are shown.
fn every(model: &Model, samples: u64, num_steps: u32) -> u32 {
    let elements: u64 = model.shape.iter().map(|side| u64::from(*side)).product();
    let bytes = match model.kind {
        ModelKind::Image => elements,
        ModelKind::Points2d => 4 * elements,
    };
    // Of both kinds.
    let per_step = (2 * samples * bytes).max(1);
    let most = (MOST_BYTES / per_step).clamp(1, u64::from(MOST_STEPS)) as u32;
    num_steps.div_ceil(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn at_most_100_steps_are_shown_and_fewer_of_large_pictures() {
        let glyphs = model(ModelKind::Image, &[3, 16, 16]);
        assert_eq!([50, 100, 101, 1000].map(|steps| every(&glyphs, 64, steps)), [1, 1, 2, 10]);
        // 2 x 64 x 786,432 bytes per step: two steps fit into 256 MiB.
        let large = model(ModelKind::Image, &[3, 512, 512]);
        assert_eq!((every(&large, 64, 50), every(&large, 1, 50)), (25, 1));
        assert_eq!(every(&model(ModelKind::Points2d, &[2]), 1024, 1000), 10);
        assert_eq!(every(&glyphs, 64, 0), 1);
    }
}
