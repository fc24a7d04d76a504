//! `ddpm models`: the models of the server.

use std::process::ExitCode;

use ddpm_client::{CallCost, Error, GraphInfo, Model};

use super::context::{Context, describe, note_pause};
use super::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Describe this model in full.
    name: Option<String>,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    let client = context.connect().await?;
    match &args.name {
        Some(name) => {
            let model = describe(&client, name).await?;
            show(context, &model, || output::pairs(&details(&model)))?;
        }
        None => {
            let models = client.repeat(async || client.models().await, note_pause).await?;
            show(context, &models, || list(&models))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(
    context: &Context,
    document: &impl serde::Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Error> {
    if context.json { output::print_json(document) } else { output::print(&text()) }
}

fn list(models: &[Model]) -> String {
    let head = ["NAME", "VERSION", "KIND", "SHAPE", "CLASSES", "DEFAULT"].map(str::to_owned);
    let row = |model: &Model| {
        vec![
            model.name.clone(),
            model.version.clone(),
            model.kind.as_str().to_owned(),
            shape(model),
            model.class_names.len().to_string(),
            default_sampling(model),
        ]
    };
    output::table(std::iter::once(head.to_vec()).chain(models.iter().map(row)).collect())
}

fn details(model: &Model) -> Vec<(&'static str, String)> {
    let classes = match model.class_names.as_slice() {
        [] => "none".to_owned(),
        names => {
            let labelled = names.iter().enumerate().map(|(label, name)| format!("{label} {name}"));
            labelled.collect::<Vec<_>>().join(", ")
        }
    };
    vec![
        ("name", model.name.clone()),
        ("version", model.version.clone()),
        ("digest", model.digest.clone()),
        ("kind", model.kind.as_str().to_owned()),
        ("shape", shape(model)),
        ("classes", classes),
        ("schedule", schedule(model)),
        ("predicts", format!("{}, variance {}", model.prediction, model.variance)),
        ("default", default_sampling(model)),
        ("graph", graphs(model)),
        ("strict", if model.strict { "can be promised" } else { "not promised here" }.to_owned()),
        ("calls", call_costs(model)),
    ]
}

/// Lists the graphs, first the one that is used when a request names none.
fn graphs(model: &Model) -> String {
    let one = |graph: &GraphInfo| match &graph.quality {
        None => format!("{} ({})", graph.name, graph.precision),
        Some(quality) => format!(
            "{} ({}, samples {:.3} times as far from the data as portable's{})",
            graph.name,
            graph.precision,
            quality.frechet_ratio,
            if quality.passed { "" } else { "; FAILED the exporter's check" }
        ),
    };
    match model.graphs.as_slice() {
        // A server from before there was a choice.
        [] => model.graph.clone(),
        graphs => graphs.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// Lists the measured costs: `1: 0.42 ms, 8: 2.10 ms`.
fn call_costs(model: &Model) -> String {
    if model.call_costs.is_empty() {
        return "not measured yet".to_owned();
    }
    let cost = |cost: &CallCost| format!("{}: {:.2} ms", cost.evals, 1e3 * cost.time.as_secs_f64());
    format!("evals: time; {}", model.call_costs.iter().map(cost).collect::<Vec<_>>().join(", "))
}

fn schedule(model: &Model) -> String {
    match model.timesteps {
        0 => format!("{}, continuous", model.schedule),
        timesteps => format!("{}, {timesteps} timesteps", model.schedule),
    }
}

fn shape(model: &Model) -> String {
    model.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

fn default_sampling(model: &Model) -> String {
    let grid = model.default_grid.as_ref().map_or_else(String::new, |grid| format!(", {grid}"));
    format!("{}, {} steps{grid}", model.default_sampler, model.default_num_steps)
}
