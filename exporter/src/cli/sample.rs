//! `sample`: draws samples in libtorch, with the server's noise and kernel.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::output::print_path;
use ddpm_files::{npy, write_whole};
use ddpm_network::sample::{DrawRequest, draw};
use ddpm_pictures::sheet;
use tch::Tensor;

use super::Failure;
use super::classes;
use super::device::DeviceArgs;
use super::model::Model;
use super::sampling::SamplingFlags;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of a run (uses its newest checkpoint), a checkpoint, or a package.
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Folder for grid.png (a scatter plot for points) and samples.npy (f32, not clipped).
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Samples to draw, at most 1000000 [default: 64].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,

    /// Seed of the noise; the server draws the same samples for it [default: 0].
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,

    /// Classes to cycle through, by name or else by number, or none for no label [default: all
    /// classes]. Separate them by commas, or repeat the flag, as names with commas need; index:N is
    /// the number N even if a class is called N.
    #[arg(long, visible_alias = "label", value_name = "LIST")]
    labels: Option<Vec<String>>,

    #[command(flatten)]
    sampling: SamplingFlags,

    /// States to start from, in turn: a NumPy file of f32 or f64 [N, …shape]. For ddim-inverse,
    /// the pictures to encode.
    #[arg(long, value_name = "FILE.npy")]
    initial: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter sample runs/glyphs --out samples
  ddpm-exporter sample models/glyphs --count 16 --labels star,heart --seed 7 --out samples
  ddpm-exporter sample runs/digits --sampler dpm++:order=3 --grid exponential --steps 20 \\
    --out samples
  ddpm-exporter sample models/glyphs --guidance 2 --initial x_T.npy --out samples
  ddpm-exporter sample runs/digits/checkpoints/step-0002000 --sampler ddpm --steps 1000 \\
    --out samples";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let device = self.device.choose()?;
        let model = Model::load(&self.model, device)?;
        let (count, seed) = (self.count.map_or(64, |count| count as usize), self.seed.unwrap_or(0));
        let wanted = self.labels(&model)?;
        let recipe = self.sampling.recipe(&model, self.initial.is_some(), !wanted.is_empty())?;
        let program = recipe.compile(&model.parameterisation)?;
        let initial = match &self.initial {
            Some(path) => Some(read_states(path, &model.network.config().sample_shape())?),
            None => None,
        };
        let labels: Vec<i64> = wanted.iter().cycle().take(count).map(|&l| l as i64).collect();
        let labels = (!wanted.is_empty()).then_some(&labels[..]);
        let initial = initial.as_deref();
        let request = DrawRequest { program: &program, seed, count, labels, initial };
        let samples = draw(&model.network, device, &request)?;
        let in_turn: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let text = [
            ("ddpm.model", model.name.clone()),
            // By number, as in the pictures that the client writes.
            ("ddpm.labels", in_turn.join(",")),
            ("ddpm.seed", seed.to_string()),
            ("ddpm.index", format!("0-{}", count - 1)),
            ("ddpm.sampler", recipe.sampler.to_string()),
            ("ddpm.steps", recipe.num_steps.to_string()),
            ("ddpm.grid", recipe.grid.to_string()),
            ("ddpm.program", program.digest()),
        ];
        let text = text.into_iter().filter(|(_, value)| !value.is_empty());
        let text: Vec<_> = text.map(|(key, value)| (key.to_owned(), value)).collect();
        let shape = model.network.config().sample_shape();
        write(&self.out, &samples, &shape, &text)
    }

    /// Returns the labels to cycle through; none without classes.
    fn labels(&self, model: &Model) -> Result<Vec<usize>, Failure> {
        let refused = |reason: String| Failure::Refused(reason.into());
        match &self.labels {
            Some(_) if model.classes.is_empty() => {
                Err(refused(format!("{} has no classes: leave out --labels", model.name)))
            }
            Some(texts) => classes::labels(texts, &model.classes).map_err(refused),
            None => Ok((0..model.classes.len()).collect()),
        }
    }
}

/// Reads states of the shape of a sample from a NumPy file.
fn read_states(path: &Path, shape: &[i64]) -> Result<Vec<Vec<f32>>, Failure> {
    let refused = |reason: String| Failure::Refused(format!("{}: {reason}", path.display()).into());
    let array = Tensor::read_npy(path).map_err(|error| refused(error.to_string()))?;
    let found = array.size();
    let (rows, each) = match found.len() {
        axes if axes == shape.len() => (1, &found[..]),
        _ => (found.first().copied().unwrap_or(0), found.get(1..).unwrap_or_default()),
    };
    if each != shape || rows == 0 {
        return Err(refused(format!("holds {found:?}, but samples have the shape {shape:?}")));
    }
    let flat = array.to_kind(tch::Kind::Float).reshape([rows, -1]);
    let states = (0..rows).map(|row| Vec::<f32>::try_from(flat.get(row)));
    let states: Vec<Vec<f32>> =
        states.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
    match states.iter().flatten().find(|number| !number.is_finite()) {
        Some(number) => Err(refused(format!("holds {number}"))),
        None => Ok(states),
    }
}

fn write(
    out: &Path,
    samples: &[f32],
    shape: &[i64],
    text: &[(String, String)],
) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(Failure::write(out))?;
    let path = out.join("samples.npy");
    let rows: Vec<&[f32]> = samples.chunks_exact(shape.iter().product::<i64>() as usize).collect();
    let shape_of_one: Vec<u32> = shape.iter().map(|&extent| extent as u32).collect();
    write_whole(&path, |out| npy::write_rows(out, &shape_of_one, &rows))
        .map_err(Failure::write(&path))?;
    print_path(&path.display());
    let path = out.join("grid.png");
    sheet::png(samples, shape, text)
        .and_then(|png| write_whole(&path, |out| out.write_all(&png)))
        .map_err(Failure::write(&path))?;
    print_path(&path.display());
    Ok(())
}
