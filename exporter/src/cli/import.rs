//! `import`: turns another program's model into a verified package.

use std::path::{Path, PathBuf};

use super::output::print_path;
use ddpm_console::note;
use ddpm_conversion::import::{
    ImportOptions, Imported, Packaging, ReferenceOutputs, WeightsChoice, ddpm_torch, diffusers,
};
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_network::Network;
use ddpm_package::GraphName;

use super::graphs::GraphsArgs;
use super::verify::{OrtArgs, write_and_check};
use super::{Failure, names, within};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A ddpm-torch checkpoint (.pt), or a diffusers folder: a pipeline, a training's checkpoint or
    /// a network alone.
    path: PathBuf,

    /// Folder of the package.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Name to serve the model under [default: the file's].
    #[arg(long)]
    name: Option<String>,

    /// Version of the model [default: 1].
    #[arg(long)]
    version: Option<String>,

    /// Outputs of the original program to compare with: a safetensors file with sample, timestep,
    /// out_sample and, for models with classes, class_labels.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Seed of the golden vectors and the sample grid [default: 0].
    #[arg(long)]
    seed: Option<u64>,

    /// Leave out the files that also make the package a diffusers pipeline; they store the weights
    /// a second time.
    #[arg(long)]
    no_weights: bool,

    /// Replace an existing package at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    graphs: GraphsArgs,

    #[command(flatten)]
    known: KnownArgs,

    #[command(flatten)]
    ort: OrtArgs,
}

/// Settings that the source may lack; those set here override it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What the source does not say")]
struct KnownArgs {
    /// Settings of a ddpm-torch checkpoint: the JSON file it was trained with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Side of square pictures, or HEIGHTxWIDTH.
    #[arg(long, value_name = "PIXELS", value_parser = picture_size)]
    image_size: Option<[i64; 2]>,

    /// Side of the squares of pixels that become channels (ddpm-torch's block_size).
    #[arg(long, value_name = "PIXELS")]
    block_size: Option<i64>,

    /// linear, quad, warmup10, warmup50, jsd, const or cosine.
    #[arg(long, value_name = "KIND", value_parser = names::beta_schedule)]
    beta_schedule: Option<BetaSchedule>,

    /// Number of timesteps T.
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

    /// Constant added to the variance in each norm.
    #[arg(long, value_name = "EPS")]
    norm_eps: Option<f64>,

    /// Which weights to take where the source has both: those of the last step (raw), or their
    /// moving average (ema) [default: ema].
    #[arg(long, value_enum, value_name = "WHICH")]
    weights: Option<WhichWeights>,

    /// The same as --weights raw.
    #[arg(long, conflicts_with = "weights", hide = true)]
    raw_weights: bool,

    /// Variant of a diffusers folder's files, such as fp16 or non_ema [default: the plain files].
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Treat the last class of a diffusers model as "no label".
    #[arg(long)]
    null_class: bool,
}

/// Weights of one training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WhichWeights {
    Raw,
    Ema,
}

const EXAMPLES: &str = "\
Every assumption is printed. Exit code 3 if a setting is missing or not supported, 6 if the outputs
differ from the original program's.

Examples:
  ddpm-exporter import cifar10_2040.pt --config cifar10.json --output models/cifar10
  ddpm-exporter import ddpm_cifar10_720.pt --image-size 32 --output models/cifar10-2022
  ddpm-exporter import ddpm_gaussian8.pt --output models/gaussian8
  ddpm-exporter import ddpm-cat-256 --output models/cats
  ddpm-exporter import ddpm-mine/checkpoint-500 --weights ema --output models/mine";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.graphs.has(GraphName::Int8) {
            let reason = "import writes no int8 graph: add it with `ddpm-exporter convert`";
            return Err(Failure::Usage(reason.into()));
        }
        let imported = self.read()?;
        imported.assumptions.iter().for_each(|assumed| note!("assumed: {assumed}"));
        let network = imported.network().map_err(within(&self.path))?;
        if let Some(file) = &self.expect {
            compare(&network, file)?;
        }
        let fallback = names::model_name(&self.path);
        let packaging = Packaging {
            name: self.name.as_deref().unwrap_or(&fallback),
            version: self.version.as_deref().unwrap_or("1"),
            seed: self.seed.unwrap_or(0),
            weights: !self.no_weights,
            cuda: self.graphs.has(GraphName::Cuda),
        };
        let wanted = (packaging.cuda, self.force);
        let left_out = write_and_check(&self.output, wanted, &self.ort, |cuda, overwrite| {
            let packaging = Packaging { cuda, ..packaging };
            let written = imported.write(&network, packaging, &self.output, overwrite)?;
            note!("{} {}, digest {}", packaging.name, packaging.version, written.digest);
            Ok(written.left_out)
        })?;
        self.graphs.report(&left_out)?;
        print_path(&self.output.display());
        Ok(())
    }

    fn read(&self) -> Result<Imported, Failure> {
        let known = self.known.known();
        let imported = if diffusers::is_folder(&self.path) {
            diffusers::import(&self.path, &known).map_err(within(&self.path))?
        } else if self.path.is_dir() {
            return Err(Failure::Refused(no_source(&self.path).into()));
        } else {
            ddpm_torch::import(&self.path, &known).map_err(within(&self.path))?
        };
        note!("{}: {}", self.path.display(), imported.source);
        Ok(imported)
    }
}

impl KnownArgs {
    fn known(&self) -> ImportOptions {
        ImportOptions {
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
            weights: match self.weights {
                Some(WhichWeights::Ema) => Some(WeightsChoice::Ema),
                Some(WhichWeights::Raw) => Some(WeightsChoice::Raw),
                None => self.raw_weights.then_some(WeightsChoice::Raw),
            },
            variant: self.variant.clone(),
            null_class: self.null_class,
        }
    }
}

/// Describes a folder that holds no model of another program.
fn no_source(folder: &Path) -> String {
    let place = folder.display();
    let has = |part: &str| folder.join(part).exists();
    if has("state.json") || has("checkpoints") {
        return format!(
            "{place}: this is a run of ours, no diffusers folder; `ddpm-exporter export {place} \
             --output DIR` packages it"
        );
    }
    if has("adapter_config.json") || has("pytorch_lora_weights.safetensors") {
        return format!(
            "{place}: this is no diffusers folder, but weights of LoRA: merge them into the \
             network that they change first"
        );
    }
    if has("model.safetensors") || has("pytorch_model.bin") {
        return format!(
            "{place}: this is no diffusers folder, but weights without their settings: put the \
             config.json of the UNet2DModel beside them"
        );
    }
    format!(
        "{place}: this is no diffusers folder: it has neither unet/ nor config.json; for a \
         checkpoint of ddpm-torch, name its file"
    )
}

/// Compares the network's outputs with the original program's.
fn compare(network: &Network, file: &Path) -> Result<(), Failure> {
    let difference = ReferenceOutputs::open(file)?.compare(network)?;
    let line = format!(
        "largest difference from the original program {:.1e}, allowed {:.1e}",
        difference.largest, difference.allowed
    );
    if difference.passes() {
        note!("{line}: ok");
        return Ok(());
    }
    Err(Failure::CheckFailed(format!("{line}; are the assumptions right?")))
}

fn picture_size(text: &str) -> Result<[i64; 2], String> {
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
    fn a_picture_size_is_a_side_or_height_x_width() {
        assert_eq!(picture_size("32"), Ok([32, 32]));
        assert_eq!(picture_size("24x32"), Ok([24, 32]));
        for text in ["", "0", "-1", "24x", "24x32x3", "wide"] {
            assert!(picture_size(text).is_err(), "{text}");
        }
    }
}
