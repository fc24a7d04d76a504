//! `ddpm sample`: flags → plan → run → files and a report.

mod args;
mod film;
mod gallery;
mod plan;
mod progress;
mod render;
mod report;

use std::process::ExitCode;

use ddpm_client::{Client, Error, Event, Request};

use self::gallery::Gallery;
use self::progress::Display;
use self::report::Report;
use super::context::Context;
use super::output;

pub(crate) use self::args::{Args, FileFormat};
pub(crate) use self::plan::{InterpolationOutputs, Plan};

/// Runs the command. The exit code is 1 if a sample failed, although the others
/// were written.
///
/// Checks the folders first, so that no finished run is lost.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    args.prepare_folders()?;
    let client = context.connect().await?;
    let plan = plan(&client, args).await?;
    print_report(context, &sample(&client, plan).await?)
}

/// Prints a report. The exit code is 1 if a sample failed.
pub(crate) fn print_report(context: &Context, report: &Report) -> Result<ExitCode, Error> {
    let text = if context.json { output::json(report) } else { report.to_lines() };
    output::print_of_written(&text);
    Ok(if report.completed.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn plan(client: &Client, args: &Args) -> Result<Plan, Error> {
    let model = client.model(&args.model).await?;
    let limits = client.server_info().await?.limits;
    let inputs = args.editing.read(&args.sampling, &model)?;
    let plan = Plan::new(args, &inputs, model, limits)?;
    let num_steps = if plan.watches() { actual_steps(client, &plan.request).await? } else { 0 };
    Ok(plan.watch(args.output.every, num_steps))
}

/// Returns the actual number of steps: samplers that restart have more than requested,
/// and a run that starts from a picture has fewer.
async fn actual_steps(client: &Client, request: &Request) -> Result<u32, Error> {
    let compiled = client.compile(request).await?;
    Ok(compiled.program.rows().last().map_or(0, |row| row.label.num_steps))
}

/// Runs a plan and writes its files.
pub(crate) async fn sample(client: &Client, plan: Plan) -> Result<Report, Error> {
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
