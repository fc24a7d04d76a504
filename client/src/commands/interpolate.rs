//! `ddpm interpolate`: from one sample to another, frame by frame.
//!
//! The ends are states x_T: read from a file, drawn for an index, or encoded by DDIM
//! from a picture. The states between them lie on the great circle, and one
//! deterministic sampler decodes them all.

use std::iter;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ddpm_client::files::{self, prepare_folder, read_images, read_states};
use ddpm_client::samplers::Ddim;
use ddpm_client::{
    Client, Compiled, Data, Error, Format, Indices, Initial, Model, ModelKind, Program, Request,
    Sampler, SharedNoise,
};
use ddpm_console::at_least_one;
use ddpm_diffusion::{Evals, Label, Mix, Row};

use super::context::{Context, compile, describe};
use super::encode::{Route, encode};
use super::flags::{SamplingFlags, ServingFlags};
use super::sample::{FileFormat, InterpolationOutputs, Plan, sample};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    /// First end: a PNG to encode, a .npy with a state x_T, INDEX, or SEED:INDEX.
    #[arg(long, value_name = "END")]
    from: End,

    /// Last end.
    #[arg(long, value_name = "END")]
    to: End,

    /// Number of samples, including both ends.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 9,
        value_parser = clap::value_parser!(u32).range(2..)
    )]
    frames: u32,

    /// Seed for an INDEX without one, and for samplers that add noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Class of all samples: its name, or else its number.
    #[arg(long, value_name = "CLASS")]
    label: Option<String>,

    #[command(flatten, next_help_heading = "How to sample [default: ddim]")]
    sampling: SamplingFlags,

    #[command(flatten, next_help_heading = "How to serve")]
    serving: ServingFlags,

    /// Folder to write to; created if it does not exist.
    #[arg(long, short = 'o', value_name = "DIR", default_value = "samples", help_heading = WRITE)]
    out: PathBuf,

    /// File format of the samples [default: png for pictures, npy for points].
    #[arg(long, value_enum, help_heading = WRITE)]
    format: Option<FileFormat>,

    /// Write the interpolation as a GIF [default path: in the folder].
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        require_equals = true,
        help_heading = WRITE
    )]
    gif: Option<Option<PathBuf>>,

    /// Write it as an APNG, which keeps all colours.
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        require_equals = true,
        help_heading = WRITE
    )]
    apng: Option<Option<PathBuf>>,

    /// Enlarge strip and animations: each pixel becomes K x K [default: samples are
    /// at least 64 pixels wide].
    #[arg(long, value_name = "K", help_heading = WRITE, value_parser = at_least_one::<NonZeroU32>)]
    scale: Option<NonZeroU32>,
}

const WRITE: &str = "What to write";

/// An end of the interpolation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// The noise of an index; with the command's seed unless it has its own.
    Index { seed: Option<u64>, index: u64 },
    /// A state, or a picture.
    File(PathBuf),
}

impl From<&str> for End {
    fn from(text: &str) -> Self {
        let number = |text: &str| text.parse::<u64>().ok();
        let index = match text.split_once(':') {
            Some((seed, index)) => {
                number(seed).zip(number(index)).map(|(seed, index)| (Some(seed), index))
            }
            None => number(text).map(|index| (None, index)),
        };
        match index {
            Some((seed, index)) => Self::Index { seed, index },
            None => Self::File(PathBuf::from(text)),
        }
    }
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Error> {
    prepare_folder(&args.out)?;
    let named = [&args.gif, &args.apng].map(|path| path.as_ref()?.as_deref());
    named.into_iter().flatten().try_for_each(|path| prepare_folder(files::folder_of(path)))?;
    let client = context.connect().await?;
    let model = describe(&client, &args.model).await?;
    let request = request(args, &model)?;
    let compiled = compile(&client, &request).await?;
    let ends = Ends { client: &client, model: &model, args, compiled: &compiled };
    let (from, to) = (ends.state(&args.from).await?, ends.state(&args.to).await?);
    let initial = Initial::Interpolation { from, to, frames: args.frames };
    let request = request.initial(&initial);
    let outputs = interpolation_outputs(args, &model)?;
    let plan = Plan::interpolation(request, Indices::first(args.frames), model.clone(), outputs);
    sample(context, &client, plan).await
}

/// Makes the request without its initial states. Frames differ only in those, so a
/// sampler that adds noise adds the same noise to all of them.
fn request(args: &Args, model: &Model) -> Result<Request, Error> {
    let labels: Vec<u32> =
        args.label.iter().map(|text| model.label(text)).collect::<Result<_, _>>()?;
    let request =
        Request::new(&model.name, Indices::first(args.frames)).seed(args.seed).class_labels(labels);
    let request = if args.sampling.sampler.is_none() && args.sampling.program.is_none() {
        let ddim = Sampler::from(Ddim { eta: 0.0, ..Ddim::DEFAULT });
        request.sampler(ddim)
    } else if args.sampling.program.is_none() {
        request.shared_noise(SharedNoise { index: 0, start: false, steps: true })
    } else {
        request
    };
    Ok(args.serving.apply(args.sampling.apply(request)?))
}

fn interpolation_outputs(args: &Args, model: &Model) -> Result<InterpolationOutputs, Error> {
    let format = match (model.kind, args.format) {
        (ModelKind::Points2d, Some(FileFormat::Png | FileFormat::U8)) => {
            let sentence = format!("{} makes points: use --format npy", model.name);
            return Err(Error::Request(sentence));
        }
        (_, Some(format)) => format,
        (ModelKind::Image, None) => FileFormat::Png,
        (ModelKind::Points2d, None) => FileFormat::Npy,
    };
    Ok(InterpolationOutputs {
        format,
        scale: args.scale,
        folder: args.out.clone(),
        gif: args.gif.clone(),
        apng: args.apng.clone(),
    })
}

/// Everything that determines the states of the ends.
struct Ends<'a> {
    client: &'a Client,
    model: &'a Model,
    args: &'a Args,
    compiled: &'a Compiled,
}

impl Ends<'_> {
    async fn state(&self, end: &End) -> Result<Data, Error> {
        match end {
            End::Index { seed, index } => self.noise(seed.unwrap_or(self.args.seed), *index).await,
            End::File(path) if is_array(path) => only_one(path, read_states(path, self.model)?),
            End::File(path) => {
                let picture = only_one(path, read_images(path, self.model)?)?;
                let route = Route {
                    labels: match &self.args.label {
                        Some(text) => vec![self.model.label(text)?],
                        None => Vec::new(),
                    },
                    // The points that decoding visits.
                    steps: Some(self.compiled.num_steps),
                    grid: self.compiled.grid.clone(),
                    serving: self.args.serving.clone(),
                };
                let encoded = encode(self.client, self.model, vec![picture], &route).await?;
                first_sample(encoded.samples)
            }
        }
    }

    /// Draws x_T of an index, by a program that only scales the noise.
    async fn noise(&self, seed: u64, index: u64) -> Result<Data, Error> {
        let start = self.start().await?;
        let indices = Indices::from_ranges(iter::once(index..index.saturating_add(1)))
            .map_err(|error| Error::Request(error.to_string()))?;
        let request = Request::new(&self.model.name, indices)
            .seed(seed)
            .format(Format::RawF32)
            .sampler(Program::new(vec![start]));
        first_sample(self.client.generate_resumable(request).collect().await?.samples)
    }

    /// Returns the row that turns noise into a state at the first point of the grid.
    async fn start(&self) -> Result<Row, Error> {
        // Custom rows start from noise and scale it themselves.
        let Some(grid) = self.compiled.grid.clone() else { return Ok(scaling(&[])) };
        let ddim = Sampler::from(Ddim { eta: 0.0, ..Ddim::DEFAULT });
        let request = Request::new(&self.model.name, Indices::first(1))
            .sampler(ddim)
            .num_steps(self.compiled.num_steps)
            .grid(grid);
        Ok(scaling(compile(self.client, &request).await?.program.rows()))
    }
}

/// Returns the row that turns noise into the first state of DDIM's `rows`. These begin
/// with such a row if the noise of the process does not have unit variance. It is the
/// only one without an evaluation in DDIM, unlike in samplers with churn.
fn scaling(rows: &[Row]) -> Row {
    let spread = match rows.first() {
        Some(Row { evals: Evals::Zero, u: Mix { u: spread, .. }, .. }) => *spread,
        _ => 1.0,
    };
    let label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 1.0 };
    Row { evals: Evals::Zero, u: Mix { u: spread, ..Mix::ZERO }, label, ..Row::at(0.0) }
}

fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npy")
}

fn only_one(path: &Path, mut list: Vec<Data>) -> Result<Data, Error> {
    match (list.pop(), list.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(Error::Request(format!(
            "{} holds several items, but an end is one",
            path.display()
        ))),
    }
}

fn first_sample(samples: Vec<ddpm_client::Sample>) -> Result<Data, Error> {
    let first = samples.into_iter().next();
    first.map(|sample| sample.data).ok_or_else(|| {
        Error::Picture("the state of an end is not a number: try another end".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_index_with_or_without_its_seed_or_a_file() {
        assert_eq!(End::from("3"), End::Index { seed: None, index: 3 });
        assert_eq!(End::from("7:3"), End::Index { seed: Some(7), index: 3 });
        assert_eq!(End::from("a:3"), End::File("a:3".into()));
        assert_eq!(End::from("3.png"), End::File("3.png".into()));
    }

    #[test]
    fn noise_is_scaled_as_the_rows_scale_it() {
        let mut prologue = Row::at(5.0);
        prologue.evals = Evals::Zero;
        prologue.u = Mix { u: 80.0, ..Mix::ZERO };

        assert_eq!(scaling(&[prologue, Row::at(5.0)]).u.u, 80.0);
        assert_eq!(scaling(&[Row::at(5.0)]).u.u, 1.0);
        assert!(ddpm_diffusion::Program::new(vec![scaling(&[])]).is_ok());
    }
}
