//! `ddpm sample`: flags → plan → run → files and a report.

mod args;
mod film;
mod gallery;
mod plan;
mod progress;
mod render;
mod report;

use std::process::ExitCode;

use ddpm_client::{Client, Completed, Error, Event, Request};
use ddpm_console::note;

use self::gallery::Gallery;
use self::progress::Display;
use super::context::{Context, compile, describe, limits};
use super::output;
use crate::stop;

pub(crate) use self::args::{Args, FileFormat};
pub(crate) use self::plan::{InterpolationOutputs, Plan, default_count};

/// Runs the command. The exit code is 1 if a sample failed or was cut off, although the others
/// were written.
///
/// Checks the folders first, so that no finished run is lost.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    args.prepare_folders()?;
    let client = context.connect().await?;
    let plan = plan(&client, args).await?;
    sample(context, &client, plan).await
}

async fn plan(client: &Client, args: &Args) -> Result<Plan, Error> {
    let model = describe(client, &args.model).await?;
    let limits = limits(client).await?;
    let inputs = args.editing.read(&args.sampling, &model)?;
    let plan = Plan::new(args, &inputs, model, limits)?;
    let num_steps = if plan.watches() { actual_steps(client, &plan.request).await? } else { 0 };
    Ok(plan.watch(args.output.every, num_steps))
}

/// Returns the actual number of steps: samplers that restart have more than requested,
/// and a run that starts from a picture has fewer.
pub(crate) async fn actual_steps(client: &Client, request: &Request) -> Result<u32, Error> {
    let compiled = compile(client, request).await?;
    Ok(compiled.program.rows().last().map_or(0, |row| row.label.num_steps))
}

/// Runs a plan, writes its files and prints a report of them, also if an error or a signal ends the
/// run.
pub(crate) async fn sample(
    context: &Context,
    client: &Client,
    plan: Plan,
) -> Result<ExitCode, Error> {
    let has_parts = plan.has_parts();
    let mut gallery = Gallery::new(plan);
    // What follows waits for nothing, so the program does not end under it.
    let (result, stopped) = tokio::select! {
        biased;
        result = fill(client, &mut gallery) => (result, None),
        code = stop::signalled() => (Err(Error::Interrupted("stopped".to_owned())), Some(code)),
    };
    let report = match &result {
        Ok(completed) => gallery.report(Some(*completed)),
        Err(error) => gallery.abandon(error),
    };
    if let Some(report) = &report {
        let text = if context.json { output::json(report) } else { report.to_lines() };
        output::print_of_written(&text);
        if let Some(advice) = report.advice().filter(|_| has_parts) {
            note!("{advice}");
        }
    }
    if let Some(code) = stopped {
        return Ok(ExitCode::from(code));
    }
    let completed = result?;
    let whole = completed.failed == 0 && completed.unfinished == 0;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Draws the samples of a plan and writes them.
async fn fill(client: &Client, gallery: &mut Gallery) -> Result<Completed, Error> {
    let mut generation = client.generate_resumable(gallery.plan().request.clone());
    let mut display = Display::new(gallery.plan().request_count());
    display.notes(&gallery.plan().notes);
    while let Some(event) = generation.next().await? {
        display.show(&event);
        match event {
            Event::Accepted(accepted) => gallery.accepted(accepted.receipt),
            Event::Previews(previews) => gallery.watch(previews),
            Event::Samples(samples) => gallery.add(samples)?,
            Event::SampleError(error) => gallery.failed(error),
            Event::Progress(_) | Event::Interrupted(_) => {}
            Event::Completed(completed) => {
                gallery.finish()?;
                return Ok(completed);
            }
        }
    }
    Err(Error::Interrupted("it ended without `completed`".to_owned()))
}
