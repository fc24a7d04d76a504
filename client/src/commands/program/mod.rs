//! `ddpm program`: the rows that a run would apply.

mod table;

use std::process::ExitCode;

use ddpm_client::{Compiled, Error, Indices, Request};

use super::context::{Context, compile, describe};
use super::flags::{EditingFlags, SamplingFlags, SelectionFlags};
use super::output;

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
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    let client = context.connect().await?;
    let model = describe(&client, &args.model).await?;
    let inputs = args.editing.read(&args.sampling, &model)?;
    let request = Request::new(&model.name, Indices::first(1))
        .class_labels(args.selection.labels(&model)?)
        .request_id(&args.selection.request_id);
    let compiled = compile(&client, &inputs.apply(args.sampling.apply(request)?)).await?;
    if context.json {
        output::print(&compiled.program.to_json())?;
    } else {
        output::print(&format!(
            "{}\n{}",
            table::format_rows(&compiled.program),
            summary(&compiled)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(compiled: &Compiled) -> String {
    let with = |name: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!(", {name} {value}"))
    };
    let grid = with("grid", compiled.grid.as_ref().map(ToString::to_string));
    let clip = with("clip", compiled.clip.map(|clip| clip.to_string()));
    output::pairs(&[
        ("sampler", format!("{}, {} steps{grid}{clip}", compiled.sampler, compiled.num_steps)),
        ("evals", format!("{} per sample", compiled.evals_per_sample)),
        ("digest", compiled.program_digest.clone()),
    ])
}
