//! The flags of `eval`, and the options that follow from them alone.

use std::num::NonZeroU32;
use std::path::PathBuf;

use ddpm_data::{LabelSource, LoadOptions, OnBroken, Split};
use ddpm_evaluation::extractor::OnnxOptions;
use ddpm_evaluation::measures::Measure;
use ddpm_evaluation::preprocessing::{Classes, Preset};
use ddpm_onnx::RuntimeOptions;

use super::engine::Engine;
use super::input::Input;
use crate::cli::Failure;
use crate::cli::cache::CacheArgs;
use crate::cli::device::DeviceArgs;
use crate::cli::sampling::SamplingFlags;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Samples to judge: a run, checkpoint or package to draw them from, a folder of pictures, or
    /// an array of features, pictures or points (.npy, .npz, .safetensors).
    #[arg(value_name = "SAMPLES")]
    pub(super) samples: PathBuf,

    /// Reference: a data source such as cifar10:DIR, a folder of pictures, an array, or statistics
    /// (.npz with mu and sigma) [default: the data of the run].
    #[arg(long, value_name = "REFERENCE")]
    pub(super) against: Option<String>,

    /// Measures to compute; each must be available [default: all that are available].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) measures: Option<Vec<Measure>>,

    /// Part of a data source [default: the run's; otherwise the one models are trained on].
    #[arg(long, value_name = "SPLIT")]
    pub(super) split: Option<Split>,

    /// Side to crop and resize pictures to [default: the model's; otherwise unchanged].
    #[arg(long, value_name = "PIXELS")]
    pub(super) image_size: Option<usize>,

    /// What to do with pictures that cannot be decoded [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub(super) on_broken: Option<OnBroken>,

    /// Feature extractor for pictures: an ONNX file or a TorchScript module, described by a JSON
    /// file beside it [default: the small network built into this program].
    #[arg(long, value_name = "FILE", help_heading = "Features")]
    pub(super) extractor: Option<PathBuf>,

    /// First write the description of this well-known extractor beside the file.
    #[arg(long, value_name = "NAME", requires = "extractor", help_heading = "Features")]
    pub(super) preset: Option<Preset>,

    #[command(flatten)]
    pub(super) cache: CacheArgs,

    /// Write the features of the samples to an array file; - is standard output, and the report
    /// then goes to stderr.
    #[arg(long, value_name = "FILE.npy", help_heading = "Features")]
    pub(super) save_features: Option<PathBuf>,

    /// Treat the features in arrays as a classifier's output of this kind.
    #[arg(long, value_name = "KIND", help_heading = "Features")]
    pub(super) classes: Option<Classes>,

    /// Round distances between neighbours to binary16, as ddpm-torch does.
    #[arg(long, help_heading = "Features")]
    pub(super) binary16: bool,

    /// Samples to draw [default: 10000; points: 30000].
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    pub(super) count: Option<NonZeroU32>,

    /// Seed for the noise, the subsets and the directions [default: 0].
    #[arg(long, value_name = "SEED")]
    pub(super) seed: Option<u64>,

    /// Instead of drawing samples, compute the bits per dimension of N reference items under the
    /// model, term by term: N network calls per timestep.
    #[arg(long, value_name = "N", help_heading = "Likelihood")]
    #[arg(conflicts_with_all = ["measures", "count", "extractor", "save_features"])]
    #[arg(conflicts_with_all = ["binary16", "classes"])]
    pub(super) bits_per_dim: Option<NonZeroU32>,

    /// Where the labels of these items come from, as for `train --labels` [default: as for the run
    /// if they are its data; otherwise auto].
    #[arg(long, value_name = "SOURCE", requires = "bits_per_dim", help_heading = "Likelihood")]
    pub(super) labels: Option<LabelSource>,

    /// Engine that evaluates the network: libtorch, or onnx for packages [default: libtorch].
    #[arg(long, value_name = "NAME", help_heading = "Sampling")]
    pub(super) engine: Option<Engine>,

    #[command(flatten)]
    pub(super) sampling: SamplingFlags,

    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// ONNX Runtime's library [default: ORT_DYLIB_PATH, beside this program, or the system's].
    #[arg(long, value_name = "FILE")]
    pub(super) ort_lib: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

const EXAMPLES: &str = "\
Only the Fréchet distance of Inception's 2048 features is called FID, and only the classifier score
of its 1008 logits is called Inception score; name that extractor to get them.

Examples:
  ddpm-exporter eval runs/glyphs --count 1000
  ddpm-exporter eval models/cifar10 --against cifar10:DIR --count 50000 --steps 100 --json
  ddpm-exporter eval PICTURES --against cifar10.npz --extractor inception.onnx \\
    --preset inception-pool3
  ddpm-exporter eval samples.npy --against folder:PICTURES --measures kid,precision-recall
  ddpm-exporter eval runs/toy --against gaussian8:30000
  ddpm-exporter eval runs/glyphs --bits-per-dim 100 --split test";

impl Args {
    /// Refuses flags that would have no effect.
    pub(super) fn check(&self, samples: &Input) -> Result<(), Failure> {
        let flag = |name, is_set: bool| is_set.then_some(name);
        let unused = match samples {
            Input::Model(_) if self.bits_per_dim.is_some() => self.sampling.first_set_flag(),
            Input::Model(_) => None,
            _ => flag("--count", self.count.is_some())
                .or(flag("--engine", self.engine.is_some()))
                .or(flag("--bits-per-dim", self.bits_per_dim.is_some()))
                .or(self.sampling.first_set_flag()),
        };
        let reason = match (unused, samples) {
            (None, _) => return Ok(()),
            (Some(flag), Input::Model(_)) => {
                format!("{flag} is for samples, and --bits-per-dim draws none")
            }
            (Some(flag), _) => format!("{flag} is for a run, a checkpoint or a package"),
        };
        Err(Failure::Refused(reason.into()))
    }

    pub(super) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            image_size: self.image_size,
            on_broken: self.on_broken.unwrap_or_default(),
            labels: LabelSource::None,
            ..LoadOptions::default()
        }
    }

    pub(super) fn onnx(&self) -> OnnxOptions {
        let runtime = RuntimeOptions { library: self.ort_lib.clone(), ..RuntimeOptions::default() };
        OnnxOptions { runtime, device: self.device.choice() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}
