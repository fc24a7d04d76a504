//! `ddpm program`: the rows that a run would apply.

mod table;

use std::process::ExitCode;

use ddpm_client::{Compiled, Error, Indices, Request};

use super::{
    Context,
    ask::{Edit, Walk, Which},
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    #[command(flatten, next_help_heading = "Which samples")]
    which: Which,

    #[command(flatten, next_help_heading = "How to sample")]
    walk: Walk,

    #[command(flatten, next_help_heading = "What to start from")]
    edit: Edit,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    let client = context.connect().await?;
    let model = client.model(&args.model).await?;
    let inputs = args.edit.read(&args.walk, &model)?;
    let request = Request::new(&model.name, Indices::first(1))
        .class_labels(args.which.labels(&model)?)
        .request_id(&args.which.request_id);
    let compiled = client.compile(&inputs.apply(args.walk.apply(request)?)).await?;
    if context.json {
        output::print(&compiled.program.to_json())?;
    } else {
        output::print(&format!("{}\n{}", table::of(&compiled.program), summary(&compiled)))?;
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
        ("evals", format!("{} a sample", compiled.evals_per_sample)),
        ("digest", compiled.program_digest.clone()),
    ])
}
