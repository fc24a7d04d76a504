//! `sample`: draws samples in libtorch, with the server's noise and kernel.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_diffusion::GridKind;
use ddpm_package::{DefaultSampler, SamplerSpec};
use ddpm_pictures::write_npy;

use super::device::DeviceArgs;
use super::model::Model;
use super::{Failure, names};
use crate::picture;
use crate::sample::{Request, draw};
use crate::train::TrainError;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of a run (its newest checkpoint is meant), of a checkpoint, or of a package.
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Folder for grid.png (a scatter plot for points) and samples.npy (f32, not clipped).
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// How many samples, at most 1000000 [default: 64].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,

    /// Seed of the noise: the same samples as the server's for this seed [default: 0].
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,

    /// Classes in turn, by number or name, or none [default: all classes].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    labels: Option<Vec<String>>,

    /// ddpm or ddim [default: as suits the model].
    #[arg(long, value_name = "NAME", value_parser = ["ddpm", "ddim"])]
    sampler: Option<String>,

    /// Steps of the sampler.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Which timesteps are visited: leading, trailing, linspace or quadratic.
    #[arg(long, value_name = "KIND", value_parser = names::grid)]
    grid: Option<GridKind>,

    /// Noise of ddim: 0 is deterministic, 1 is as much as ddpm's [default: 0].
    #[arg(long, value_name = "ETA")]
    eta: Option<f64>,

    #[command(flatten)]
    device: DeviceArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter sample runs/glyphs --out samples
  ddpm-exporter sample models/glyphs --count 16 --labels star,heart --seed 7 --out samples
  ddpm-exporter sample runs/digits/checkpoints/step-0002000 --sampler ddpm --steps 1000 --out samples";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let device = self.device.choose()?;
        let model = Model::load(&self.model, device)?;
        let (count, seed) = (self.count.map_or(64, |count| count as usize), self.seed.unwrap_or(0));
        let labels = self.labels(&model, count)?;
        let sampler = self.sampler(&model.default_sampler)?;
        let program = model.program(&sampler)?;
        let request = Request { program: &program, seed, count, labels: labels.as_deref() };
        let samples = draw(&model.network, device, &request).map_err(TrainError::from)?;
        let text = [
            ("ddpm.model", model.name.clone()),
            ("ddpm.seed", seed.to_string()),
            ("ddpm.index", format!("0-{}", count - 1)),
            ("ddpm.sampler", format!("{:?}", sampler.sampler)),
            ("ddpm.steps", sampler.num_steps.to_string()),
            ("ddpm.grid", sampler.grid.name().to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let shape = model.network.config().sample_shape();
        Ok(write(&self.out, &samples, &shape, &text)?)
    }

    /// What was asked for, and the model's own sampler for the rest.
    fn sampler(&self, default: &DefaultSampler) -> Result<DefaultSampler, Failure> {
        let is_ddim = match (&self.sampler, &default.sampler) {
            (Some(name), _) => name == "ddim",
            (None, SamplerSpec::Ddim { .. }) => true,
            (None, SamplerSpec::Ddpm) => false,
        };
        let default_eta = match default.sampler {
            SamplerSpec::Ddim { eta } => eta,
            SamplerSpec::Ddpm => 0.0,
        };
        if self.eta.is_some() && !is_ddim {
            return Err(Failure::Refused("--eta is of ddim: add --sampler ddim".into()));
        }
        Ok(DefaultSampler {
            sampler: if is_ddim {
                SamplerSpec::Ddim { eta: self.eta.unwrap_or(default_eta) }
            } else {
                SamplerSpec::Ddpm
            },
            num_steps: self.steps.unwrap_or(default.num_steps),
            grid: self.grid.unwrap_or(default.grid),
        })
    }

    /// One label a sample, in turn.
    fn labels(&self, model: &Model, count: usize) -> Result<Option<Vec<i64>>, Failure> {
        let none = model.classes.len();
        let wanted: Vec<usize> = match &self.labels {
            Some(_) if none == 0 => {
                let reason = format!("{} knows no classes: leave --labels out", model.name);
                return Err(Failure::Refused(reason.into()));
            }
            Some(texts) => {
                texts.iter().map(|text| label(text, &model.classes)).collect::<Result<_, _>>()?
            }
            None => (0..none).collect(),
        };
        let in_turn = wanted.iter().cycle().take(count).map(|&label| label as i64).collect();
        Ok((none > 0).then_some(in_turn))
    }
}

/// A class by name or number; `none` is the number of classes.
fn label(text: &str, classes: &[String]) -> Result<usize, Failure> {
    if text == "none" {
        return Ok(classes.len());
    }
    let named = classes.iter().position(|class| class == text);
    let numbered = || text.parse().ok().filter(|number| *number < classes.len());
    named.or_else(numbered).ok_or_else(|| {
        let names = classes.join(", ");
        Failure::Refused(format!("there is no class {text:?}; use none or one of {names}").into())
    })
}

fn write(
    out: &Path,
    samples: &[f32],
    shape: &[i64],
    text: &[(String, String)],
) -> Result<(), TrainError> {
    fs::create_dir_all(out).map_err(TrainError::write(out))?;
    let path = out.join("samples.npy");
    let rows: Vec<&[f32]> = samples.chunks_exact(shape.iter().product::<i64>() as usize).collect();
    let shape_of_one: Vec<u32> = shape.iter().map(|&extent| extent as u32).collect();
    let mut array = Vec::new();
    write_npy(&mut array, &shape_of_one, &rows)
        .and_then(|()| fs::write(&path, &array))
        .map_err(TrainError::write(&path))?;
    println!("{}", path.display());
    let path = out.join("grid.png");
    picture::png(samples, shape, text)
        .and_then(|png| fs::write(&path, png))
        .map_err(TrainError::write(&path))?;
    println!("{}", path.display());
    Ok(())
}
