//! `ddpm estimate`: what samples would cost, and when they would be done.

use std::process::ExitCode;
use std::time::Duration;

use ddpm_client::{Error, Estimate, Request};

use super::context::{Context, describe, note_pause};
use super::flags::{EditingFlags, SamplingFlags, SelectionFlags, ServingFlags, apply};
use super::output;
use super::sample::default_count;

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
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    let client = context.connect().await?;
    let model = describe(&client, &args.model).await?;
    let inputs = args.editing.read(&args.sampling, &model)?;
    let indices = args.selection.indices(default_count(&inputs, &model));
    let request = Request::new(&model.name, indices)
        .class_labels(args.selection.labels(&model)?)
        .request_id(&args.selection.request_id);
    let request = apply(request, args.selection.seed, Request::seed);
    let request = args.serving.apply(inputs.apply(args.sampling.apply(request)?));
    let estimate = client.repeat(async || client.estimate(&request).await, note_pause).await?;
    if context.json {
        output::print_json(&estimate)?;
    } else {
        output::print(&output::pairs(&lines(&estimate)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(estimate: &Estimate) -> Vec<(&'static str, String)> {
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    vec![
        ("evals", format!("{} ({} per sample)", estimate.total_evals, estimate.evals_per_sample)),
        ("computing", seconds(estimate.compute_time)),
        ("queue", format!("{} samples ahead", estimate.queue_position)),
        (
            "done in",
            estimate.eta.map_or_else(
                || "not known yet".to_owned(),
                |eta| format!("about {}", seconds(eta)),
            ),
        ),
    ]
}
