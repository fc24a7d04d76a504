//! `ddpm interpolate`: the way from one sample to another, frame by frame.
//!
//! The ends are states x_T: given, of an index, or pictures that DDIM encodes. The
//! states between them lie on the great circle, and one deterministic sampler
//! decodes all of them.

use std::{
    iter,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ddpm_client::{
    Client, Compiled, Data, Error, Format, Indices, Initial, Model, ModelKind, Program, Request,
    Sampler, SharedNoise,
    files::{self, prepare_folder, read_images, read_states},
};
use ddpm_diffusion::{Evals, Label, Mix, Row};

use super::{
    Context,
    ask::Walk,
    encode::{self, encode},
    sample::{FileFormat, Plan, Way, sample, tell},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    model: String,

    /// Where it begins: a PNG to encode, a .npy with a state x_T, INDEX, or SEED:INDEX.
    #[arg(long, value_name = "END")]
    from: End,

    /// Where it ends.
    #[arg(long, value_name = "END")]
    to: End,

    /// Samples of the whole way, with both ends.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,

    /// Seed of an INDEX without one, and of the noise of samplers that add some.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Class of all samples: its number or its name.
    #[arg(long, value_name = "CLASS")]
    label: Option<String>,

    #[command(flatten, next_help_heading = "How to sample [default: ddim]")]
    walk: Walk,

    /// Folder to write into; it is created if need be.
    #[arg(long, short = 'o', value_name = "DIR", default_value = "samples", help_heading = WRITE)]
    out: PathBuf,

    /// How to write the samples [default: png for pictures, npy for points].
    #[arg(long, value_enum, help_heading = WRITE)]
    format: Option<FileFormat>,

    /// Write the way as a GIF [default path: in the folder].
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, help_heading = WRITE)]
    gif: Option<Option<PathBuf>>,

    /// Write it as an APNG, which keeps all colours.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, help_heading = WRITE)]
    apng: Option<Option<PathBuf>>,

    /// Enlarge strip and animations: each pixel becomes K x K [default: so that a
    /// sample is at least 64 pixels wide].
    #[arg(long, value_name = "K", help_heading = WRITE)]
    scale: Option<NonZeroU32>,
}

const WRITE: &str = "What to write";

/// An end of the way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// The noise of an index; of the seed of the command unless it has its own.
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
    let model = client.model(&args.model).await?;
    let request = request(args, &model)?;
    let compiled = client.compile(&request).await?;
    let ends = Ends { client: &client, model: &model, args, compiled: &compiled };
    let (from, to) = (ends.state(&args.from).await?, ends.state(&args.to).await?);
    let initial = Initial::Interpolation { from, to, frames: args.frames };
    let request = request.initial(&initial);
    let plan =
        Plan::of_a_way(request, Indices::first(args.frames), model.clone(), way(args, &model)?);
    tell(context, &sample(&client, plan).await?)
}

/// Without what it starts from. Frames differ by their states alone, so a sampler
/// that adds noise adds the same to all.
fn request(args: &Args, model: &Model) -> Result<Request, Error> {
    let labels: Vec<u32> =
        args.label.iter().map(|text| model.label(text)).collect::<Result<_, _>>()?;
    let request =
        Request::new(&model.name, Indices::first(args.frames)).seed(args.seed).class_labels(labels);
    let request = if args.walk.sampler.is_none() && args.walk.program.is_none() {
        let ddim = Sampler::Ddim { eta: 0.0, clip_rule: ddpm_client::ClippedEps::Recompute };
        request.sampler(ddim)
    } else if args.walk.program.is_none() {
        request.shared_noise(SharedNoise { index: 0, start: false, steps: true })
    } else {
        request
    };
    args.walk.apply(request)
}

fn way(args: &Args, model: &Model) -> Result<Way, Error> {
    let format = match (model.kind, args.format) {
        (ModelKind::Points2d, Some(FileFormat::Png | FileFormat::U8)) => {
            let sentence = format!("{} makes points: use --format npy", model.name);
            return Err(Error::Request(sentence));
        }
        (_, Some(format)) => format,
        (ModelKind::Image, None) => FileFormat::Png,
        (ModelKind::Points2d, None) => FileFormat::Npy,
    };
    Ok(Way {
        format,
        scale: args.scale,
        folder: args.out.clone(),
        gif: args.gif.clone(),
        apng: args.apng.clone(),
    })
}

/// What the states of the ends depend on.
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
            End::File(path) if is_array(path) => one(path, read_states(path, self.model)?),
            End::File(path) => {
                let picture = one(path, read_images(path, self.model)?)?;
                let way = encode::Path {
                    labels: match &self.args.label {
                        Some(text) => vec![self.model.label(text)?],
                        None => Vec::new(),
                    },
                    // Back over the points of the way there.
                    steps: Some(self.compiled.num_steps),
                    grid: self.compiled.grid.clone(),
                };
                let encoded = encode(self.client, self.model, vec![picture], &way).await?;
                first(encoded.samples)
            }
        }
    }

    /// x_T of an index: what a program does that adds nothing to it.
    async fn noise(&self, seed: u64, index: u64) -> Result<Data, Error> {
        let indices = Indices::from_ranges(iter::once(index..index.saturating_add(1)))
            .map_err(|error| Error::Request(error.to_string()))?;
        let request = Request::new(&self.model.name, indices)
            .seed(seed)
            .format(Format::RawF32)
            .sampler(Program::new(vec![start(self.compiled.program.rows())]));
        first(self.client.generate_resumable(request).collect().await?.samples)
    }
}

/// The row that turns noise into the first state of `rows`: those of processes
/// whose noise is not of unit variance begin with such a row.
fn start(rows: &[Row]) -> Row {
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

fn one(path: &Path, mut list: Vec<Data>) -> Result<Data, Error> {
    match (list.pop(), list.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(Error::Request(format!("{} holds several, an end is one", path.display()))),
    }
}

fn first(samples: Vec<ddpm_client::Sample>) -> Result<Data, Error> {
    let first = samples.into_iter().next();
    first.map(|sample| sample.data).ok_or_else(|| {
        Error::Picture("the state of an end is not a number: try another".to_owned())
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

        assert_eq!(start(&[prologue, Row::at(5.0)]).u.u, 80.0);
        assert_eq!(start(&[Row::at(5.0)]).u.u, 1.0);
        assert!(ddpm_diffusion::Program::new(vec![start(&[])]).is_ok());
    }
}
