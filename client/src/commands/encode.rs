//! `ddpm encode`: pictures → the states that DDIM turns back into them.

use std::{path::PathBuf, process::ExitCode};

use ddpm_client::{
    Client, Collected, Data, Error, Format, Grid, Indices, Initial, Model, Request, Sample,
    Sampler,
    files::{folder_of, prepare_folder, read_images, write_atomically},
    pictures::write_npy,
};
use serde::Serialize;

use super::{Context, ask::apply, output};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    /// Pictures: PNG files, or arrays of uint8 (H, W, C) or of floats (C, H, W) in
    /// -1 to 1.
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,

    /// The array to write: float32 (N, C, H, W), in the order of the pictures.
    /// `ddpm sample MODEL --sampler ddim --initial` decodes it.
    #[arg(long, short = 'o', value_name = "FILE.npy", default_value = "x_T.npy")]
    out: PathBuf,

    /// Class of the pictures; several take turns.
    #[arg(long, visible_alias = "labels", value_name = "CLASS", value_delimiter = ',')]
    label: Vec<String>,

    /// Intervals of the time grid; the more, the closer the way back [default: the
    /// smaller of 200 and the model's timesteps].
    #[arg(long)]
    steps: Option<u32>,

    /// Points to visit, as for `ddpm sample`; the way back must visit the same.
    #[arg(long, value_name = "SPEC")]
    grid: Option<Grid>,
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
    prepare_folder(folder_of(&args.out))?;
    let client = context.connect().await?;
    let model = client.model(&args.model).await?;
    let read: Result<Vec<Vec<Data>>, Error> =
        args.images.iter().map(|path| read_images(path, &model)).collect();
    let images: Vec<Data> = read?.into_iter().flatten().collect();
    let labels: Vec<u32> =
        args.label.iter().map(|text| model.label(text)).collect::<Result<_, _>>()?;
    let path = Path { labels, steps: args.steps, grid: args.grid.clone() };
    let Collected { samples, receipt, .. } = encode(&client, &model, images, &path).await?;
    write(args, &samples)?;
    let grid = receipt.grid.map(|grid| grid.to_string());
    let report = Report {
        states: samples.len(),
        num_steps: receipt.num_steps,
        decode: format!(
            "ddpm sample {} --sampler ddim --steps {} --grid {} --initial {}",
            model.name,
            receipt.num_steps,
            grid.as_deref().unwrap_or_default(),
            args.out.display()
        ),
        grid,
        path: args.out.clone(),
        model: model.name,
    };
    if context.json {
        output::print_json(&report)?;
    } else {
        output::print(&lines(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The part of a walk that must be the same there and back.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) labels: Vec<u32>,
    pub(super) steps: Option<u32>,
    pub(super) grid: Option<Grid>,
}

/// The states of `images`, in their order: [`Data::Values`].
pub(super) async fn encode(
    client: &Client,
    model: &Model,
    images: Vec<Data>,
    path: &Path,
) -> Result<Collected, Error> {
    let count = u32::try_from(images.len()).unwrap_or(u32::MAX);
    let request = Request::new(&model.name, Indices::first(count))
        .seed(0)
        .class_labels(path.labels.clone())
        .sampler(Sampler::DdimInverse)
        .format(Format::RawF32)
        .initial(&Initial::Images { images, strength: None });
    let request = apply(request, path.steps, Request::num_steps);
    let request = apply(request, path.grid.clone(), Request::grid);
    let collected = client.generate_resumable(request).collect().await?;
    match collected.errors.first() {
        Some(error) => Err(Error::Picture(format!(
            "picture {} cannot be encoded: {}",
            error.index, error.message
        ))),
        None => Ok(collected),
    }
}

fn write(args: &Args, samples: &[Sample]) -> Result<(), Error> {
    let values = |sample| match sample {
        &Sample { data: Data::Values(ref values), .. } => Some(values.as_slice()),
        _ => None,
    };
    let rows: Vec<&[f32]> = samples.iter().filter_map(values).collect();
    let shape = samples.first().map(|sample| sample.shape.as_slice()).unwrap_or_default();
    write_atomically(&args.out, |out| write_npy(out, shape, &rows))
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
