//! `ddpm encode`: pictures → the states that DDIM decodes to them.

use std::path::PathBuf;
use std::process::ExitCode;

use ddpm_client::files::{is_stdout, prepare_file, read_images, write_atomically};
use ddpm_client::samplers::DdimInverse;
use ddpm_client::{
    Client, Clip, Collected, Data, Error, Format, Grid, Indices, Initial, Model, Receipt, Request,
    Sample, Sampler,
};
use ddpm_console::{note, quoted};
use ddpm_files::npy;
use serde::Serialize;

use super::context::{Context, describe};
use super::flags::{ServingFlags, apply};
use super::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    /// Pictures: PNG files, or arrays of uint8 (H, W, C) or of floats (C, H, W) in
    /// [-1, 1].
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,

    /// Array to write: float32 (N, C, H, W), in the order of the pictures; - is
    /// standard output. The printed command decodes it.
    #[arg(long, short = 'o', value_name = "FILE.npy", default_value = "x_T.npy")]
    out: PathBuf,

    /// Class of the pictures, by name or number; several, separated by commas or in flags
    /// of their own, are cycled through.
    #[arg(long, visible_alias = "labels", value_name = "CLASS")]
    label: Vec<String>,

    /// Intervals of the time grid; more make decoding more accurate [default: the
    /// smaller of 200 and the model's timesteps].
    #[arg(long)]
    steps: Option<u32>,

    /// Points to visit, as for `ddpm sample`; decoding must visit the same ones.
    #[arg(long, value_name = "SPEC")]
    grid: Option<Grid>,

    #[command(flatten, next_help_heading = "How to serve")]
    serving: ServingFlags,
}

#[derive(Serialize)]
struct Report {
    model: String,
    states: usize,
    num_steps: u32,
    grid: Option<String>,
    path: PathBuf,
    decode: String,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    prepare_file(&args.out)?;
    let client = context.connect().await?;
    let model = describe(&client, &args.model).await?;
    let read: Result<Vec<Vec<Data>>, Error> =
        args.images.iter().map(|path| read_images(path, &model)).collect();
    let images: Vec<Data> = read?.into_iter().flatten().collect();
    let labels = model.labels(&args.label)?;
    let serving = args.serving.clone();
    let route = Route { labels, steps: args.steps, grid: args.grid.clone(), serving };
    let Collected { samples, receipt, .. } = encode(&client, &model, images, &route).await?;
    write_states(args, &samples)?;
    let report = Report {
        states: samples.len(),
        num_steps: receipt.num_steps,
        decode: decode_command(context, args, &model, &receipt),
        grid: receipt.grid.map(|grid| grid.to_string()),
        path: args.out.clone(),
        model: model.name,
    };
    let text = if context.json { output::json(&report) } else { lines(&report) };
    match is_stdout(&args.out) {
        // Standard output holds the states.
        true => note!("{}", text.trim_end()),
        false => output::print_of_written(&text),
    }
    Ok(ExitCode::SUCCESS)
}

/// Settings that encoding and decoding must share.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) labels: Vec<u32>,
    pub(super) steps: Option<u32>,
    pub(super) grid: Option<Grid>,
    pub(super) serving: ServingFlags,
}

/// Encodes `images` to states, in their order: [`Data::Values`].
pub(super) async fn encode(
    client: &Client,
    model: &Model,
    images: Vec<Data>,
    route: &Route,
) -> Result<Collected, Error> {
    let count = u32::try_from(images.len()).unwrap_or(u32::MAX);
    let request = Request::new(&model.name, Indices::first(count))
        .seed(0)
        .class_labels(route.labels.clone())
        .sampler(Sampler::from(DdimInverse))
        .format(Format::RawF32)
        .initial(&Initial::Images { images, strength: None });
    let request = apply(request, route.steps, Request::num_steps);
    let request = apply(request, route.grid.clone(), Request::grid);
    let request = route.serving.apply(request);
    let collected = client.generate_resumable(request).collect().await?;
    if collected.completed.unfinished > 0 {
        // The states would not be in the order of the pictures.
        return Err(Error::DeadlinePassed);
    }
    match collected.errors.first() {
        Some(error) => Err(Error::Picture(format!(
            "picture {} cannot be encoded: {}",
            error.index, error.message
        ))),
        None => Ok(collected),
    }
}

/// Returns the command that decodes the pictures: the same points with the same labels,
/// and the clip rule that encoding used.
fn decode_command(context: &Context, args: &Args, model: &Model, receipt: &Receipt) -> String {
    let labels =
        receipt.class_labels.iter().map(|&label| model.label_text(label)).collect::<Vec<_>>();
    let grid = receipt.grid.as_ref().map_or_else(String::new, Grid::to_string);
    let clip = receipt.clip.as_ref().map_or_else(String::new, Clip::to_string);
    let flags = [
        ("--server", context.other_server().unwrap_or_default().to_owned()),
        ("--label", labels.join(",")),
        ("--sampler", "ddim".to_owned()),
        ("--steps", receipt.num_steps.to_string()),
        ("--grid", grid),
        ("--clip", clip),
        ("--initial", args.out.display().to_string()),
    ];
    let flags = flags.iter().filter(|(_, value)| !value.is_empty());
    let flags: String = flags.map(|(flag, value)| format!(" {flag} {}", quoted(value))).collect();
    format!("ddpm sample {}{flags}", quoted(&receipt.model))
}

fn write_states(args: &Args, samples: &[Sample]) -> Result<(), Error> {
    let values = |sample| match sample {
        &Sample { data: Data::Values(ref values), .. } => Some(values.as_slice()),
        _ => None,
    };
    let rows: Vec<&[f32]> = samples.iter().filter_map(values).collect();
    let shape = samples.first().map(|sample| sample.shape.as_slice()).unwrap_or_default();
    write_atomically(&args.out, |out| npy::write_rows(out, shape, &rows))
}

fn lines(report: &Report) -> String {
    let grid = report.grid.as_ref().map_or_else(String::new, |grid| format!(", {grid}"));
    output::pairs(&[
        ("model", report.model.clone()),
        ("states", report.states.to_string()),
        ("sampler", format!("ddim-inverse, {} steps{grid}", report.num_steps)),
        ("wrote", report.path.display().to_string()),
        ("decode", report.decode.clone()),
    ])
}
