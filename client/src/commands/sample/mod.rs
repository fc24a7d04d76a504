//! `ddpm sample`: flags → plan → run → files and a report.

mod film;
mod flags;
mod gallery;
mod plan;
mod progress;
mod render;
mod report;

use std::process::ExitCode;

use ddpm_client::{Client, Error, Event};

use self::{gallery::Gallery, plan::Plan, progress::Display};
use super::{Context, output};

pub(crate) use self::flags::Args;

/// Runs the command. The exit code is 1 if a sample failed, although the others
/// were written.
///
/// Folders are tried first: a run should not be paid for and then be lost.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    args.prepare_folders()?;
    let client = context.connect().await?;
    let plan = plan(&client, args).await?;
    let report = sample(&client, plan).await?;
    if context.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_lines())?;
    }
    Ok(if report.completed.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn plan(client: &Client, args: &Args) -> Result<Plan, Error> {
    let model = client.model(&args.model).await?;
    let limits = client.server_info().await?.limits;
    Plan::new(args, model, limits)
}

async fn sample(client: &Client, plan: Plan) -> Result<report::Report, Error> {
    let mut generation = client.generate_resumable(plan.request.clone());
    let mut display = Display::new(plan.request_count());
    display.notes(&plan.notes);
    let mut gallery = Gallery::new(plan);
    while let Some(event) = generation.next().await? {
        display.show(&event);
        match event {
            Event::Accepted(accepted) => gallery.accepted(accepted.receipt),
            Event::Previews(previews) => gallery.watch(previews),
            Event::Samples(samples) => gallery.add(samples)?,
            Event::SampleError(error) => gallery.failed(error),
            Event::Progress(_) | Event::Interrupted(_) => {}
            Event::Completed(completed) => return gallery.finish(completed),
        }
    }
    Err(Error::Interrupted("it ended without `completed`".to_owned()))
}
