//! `import`: a model of another program becomes a verified model package.

use std::path::{Path, PathBuf};

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_package::Package;

use super::verify::{OrtArgs, check};
use super::{Failure, names};
use crate::import::{Expected, Imported, Known, Packaging, ddpm_torch, diffusers};
use crate::model::Network;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A checkpoint of ddpm-torch (.pt), or a folder of diffusers.
    path: PathBuf,

    /// Folder of the package.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Name under which the model is served [default: the file's].
    #[arg(long)]
    name: Option<String>,

    /// Version of the model [default: 1].
    #[arg(long)]
    version: Option<String>,

    /// Outputs of the original program to compare with: a safetensors file with sample, timestep,
    /// out_sample and, if there are classes, class_labels.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Seed of the golden vectors and of the picture of samples [default: 0].
    #[arg(long)]
    seed: Option<u64>,

    /// Leave out the files that make the package a pipeline of diffusers too: they hold the weights once
    /// more.
    #[arg(long)]
    no_weights: bool,

    /// Replace a package that stands at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    known: KnownArgs,

    #[command(flatten)]
    ort: OrtArgs,
}

/// What the source does not hold; everything that is said here wins over it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What the source does not say")]
struct KnownArgs {
    /// Settings of a ddpm-torch checkpoint: the JSON that it was trained with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Side of square pictures, or HEIGHTxWIDTH.
    #[arg(long, value_name = "PIXELS", value_parser = size)]
    image_size: Option<[i64; 2]>,

    /// Squares of so many pixels a side are channels to the network (ddpm-torch's block_size).
    #[arg(long, value_name = "PIXELS")]
    block_size: Option<i64>,

    /// linear, quad, warmup10, warmup50, jsd, const or cosine.
    #[arg(long, value_name = "KIND", value_parser = names::beta_schedule)]
    beta_schedule: Option<BetaSchedule>,

    /// T, the number of timesteps.
    #[arg(long, value_name = "T")]
    timesteps: Option<usize>,

    /// β at t = 0.
    #[arg(long, value_name = "BETA")]
    beta_start: Option<f64>,

    /// β at t = T−1.
    #[arg(long, value_name = "BETA")]
    beta_end: Option<f64>,

    /// eps, x_0, mean or v.
    #[arg(long, value_name = "KIND", value_parser = names::prediction)]
    prediction: Option<Prediction>,

    /// fixed-small, fixed-large, learned or learned-range.
    #[arg(long, value_name = "KIND", value_parser = names::variance)]
    variance: Option<Variance>,

    /// Added to the variance in every norm.
    #[arg(long, value_name = "EPS")]
    norm_eps: Option<f64>,

    /// Take the weights of the last step where a checkpoint has their moving average too.
    #[arg(long)]
    raw_weights: bool,

    /// The last class of a diffusers model means "no label".
    #[arg(long)]
    null_class: bool,
}

const EXAMPLES: &str = "\
Every assumption is printed. Exit code 3 if something must be said or is not supported, 6 if the outputs
are not those of the original program.

Examples:
  ddpm-exporter import cifar10_2040.pt --config cifar10.json --output models/cifar10
  ddpm-exporter import ddpm_cifar10_720.pt --image-size 32 --output models/cifar10-2022
  ddpm-exporter import ddpm_gaussian8.pt --output models/gaussian8
  ddpm-exporter import ddpm-cat-256 --output models/cats";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let imported = self.read()?;
        imported.assumptions.iter().for_each(|assumed| eprintln!("assumed: {assumed}"));
        let network = imported.network()?;
        if let Some(file) = &self.expect {
            compare(&network, file)?;
        }
        let fallback = names::model_name(&self.path);
        let packaging = Packaging {
            name: self.name.as_deref().unwrap_or(&fallback),
            version: self.version.as_deref().unwrap_or("1"),
            seed: self.seed.unwrap_or(0),
            weights: !self.no_weights,
        };
        let digest = imported.write(&network, packaging, &self.output, self.force)?;
        eprintln!("{} {}, digest {digest}", packaging.name, packaging.version);
        check(&Package::open(&self.output)?, &self.ort)?;
        println!("{}", self.output.display());
        Ok(())
    }

    fn read(&self) -> Result<Imported, Failure> {
        let known = self.known.known();
        let imported = if diffusers::is_folder(&self.path) {
            diffusers::import(&self.path, &known)?
        } else if self.path.is_dir() {
            let reason = format!(
                "{}: this is no folder of diffusers; a run of this program is for `export`",
                self.path.display()
            );
            return Err(Failure::Refused(reason.into()));
        } else {
            ddpm_torch::import(&self.path, &known)?
        };
        eprintln!("{}: {}", self.path.display(), imported.source);
        Ok(imported)
    }
}

impl KnownArgs {
    fn known(&self) -> Known {
        Known {
            config: self.config.clone(),
            image_size: self.image_size,
            block_size: self.block_size,
            beta_schedule: self.beta_schedule,
            timesteps: self.timesteps,
            beta_start: self.beta_start,
            beta_end: self.beta_end,
            prediction: self.prediction,
            variance: self.variance,
            norm_eps: self.norm_eps,
            raw_weights: self.raw_weights,
            null_class: self.null_class,
        }
    }
}

/// Compares the network with the original program.
fn compare(network: &Network, file: &Path) -> Result<(), Failure> {
    let difference = Expected::open(file)?.compare(network)?;
    let line = format!(
        "largest difference from the original program {:.1e}, allowed {:.1e}",
        difference.largest, difference.allowed
    );
    if difference.passes() {
        eprintln!("{line}: ok");
        return Ok(());
    }
    Err(Failure::CheckFailed(format!("{line}; are the assumptions right?")))
}

fn size(text: &str) -> Result<[i64; 2], String> {
    let extent = |text: &str| text.parse::<i64>().ok().filter(|extent| *extent > 0);
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    extent(height)
        .zip(extent(width))
        .map(|(height, width)| [height, width])
        .ok_or_else(|| "a number of pixels, or HEIGHTxWIDTH, such as 32 or 24x32".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_side_or_height_times_width() {
        assert_eq!(size("32"), Ok([32, 32]));
        assert_eq!(size("24x32"), Ok([24, 32]));
        for text in ["", "0", "-1", "24x", "24x32x3", "wide"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
