//! The flags of `eval`, and what follows from them alone.

use std::num::NonZeroU32;
use std::path::PathBuf;

use ddpm_onnx::RuntimeOptions;

use super::engine::Engine;
use super::operand::Operand;
use crate::cli::Failure;
use crate::cli::cache::CacheArgs;
use crate::cli::device::DeviceArgs;
use crate::cli::how::How;
use crate::data::{FolderLabels, LoadOptions, OnBroken, Split};
use crate::evaluate::extractor::OnnxOptions;
use crate::evaluate::measures::Measure;
use crate::evaluate::preprocessing::{Classes, Preset};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// What is judged: a run, a checkpoint or a package (samples are drawn), a folder of pictures, or
    /// an array of features, pictures or points (.npy, .npz, .safetensors).
    #[arg(value_name = "SAMPLES")]
    pub(super) samples: PathBuf,

    /// By what: a data source such as cifar10:DIR, a folder of pictures, an array, or statistics (.npz
    /// with mu and sigma) [default: the data of the run].
    #[arg(long, value_name = "REFERENCE")]
    pub(super) against: Option<String>,

    /// What is measured, by name; each must be had [default: what can be had].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) measures: Option<Vec<Measure>>,

    /// Which part of a data source [default: that of the run; else what models are trained on].
    #[arg(long, value_name = "SPLIT")]
    pub(super) split: Option<Split>,

    /// Side that pictures are brought to [default: the model's; else as they are].
    #[arg(long, value_name = "PIXELS")]
    pub(super) image_size: Option<usize>,

    /// What to do with pictures that cannot be decoded [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub(super) on_broken: Option<BrokenRule>,

    /// From pictures to features: an ONNX file or a TorchScript module, with its description in a JSON
    /// file beside it [default: the small network that comes with this program].
    #[arg(long, value_name = "FILE", help_heading = "Features")]
    pub(super) extractor: Option<PathBuf>,

    /// Write that description, of a well-known extractor, beside the file first.
    #[arg(long, value_name = "NAME", requires = "extractor", help_heading = "Features")]
    pub(super) preset: Option<Preset>,

    #[command(flatten)]
    pub(super) cache: CacheArgs,

    /// Write the features of the samples as an array.
    #[arg(long, value_name = "FILE.npy", help_heading = "Features")]
    pub(super) save_features: Option<PathBuf>,

    /// The features of arrays are what a classifier says of classes.
    #[arg(long, value_name = "KIND", help_heading = "Features")]
    pub(super) classes: Option<Classes>,

    /// Round distances between neighbours to binary16, as ddpm-torch does.
    #[arg(long, help_heading = "Features")]
    pub(super) binary16: bool,

    /// How many samples are drawn [default: 10000; of points 30000].
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    pub(super) count: Option<NonZeroU32>,

    /// Seed of the noise, and of subsets and directions [default: 0].
    #[arg(long, value_name = "SEED")]
    pub(super) seed: Option<u64>,

    /// Instead of drawing samples, count the bits per dimension that N items of the reference cost
    /// under the model, term by term: N network calls a timestep.
    #[arg(long, value_name = "N", help_heading = "Likelihood")]
    #[arg(conflicts_with_all = ["measures", "count", "extractor", "save_features", "binary16", "classes"])]
    pub(super) bits_per_dim: Option<NonZeroU32>,

    /// What evaluates the network: libtorch, or for packages onnx [default: libtorch].
    #[arg(long, value_name = "NAME", help_heading = "Sampling")]
    pub(super) engine: Option<Engine>,

    #[command(flatten)]
    pub(super) how: How,

    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// ONNX Runtime's library [default: ORT_DYLIB_PATH, beside this program, or the system's].
    #[arg(long, value_name = "FILE")]
    pub(super) ort_lib: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

/// What to do with pictures that cannot be decoded.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum BrokenRule {
    /// Name the first and stop.
    Refuse,
    /// Leave them out.
    Skip,
}

const EXAMPLES: &str = "\
Only the Fréchet distance of Inception's 2048 features is called FID, and only the classifier score of its
1008 logits Inception score: name that extractor.

Examples:
  ddpm-exporter eval runs/glyphs --count 1000
  ddpm-exporter eval models/cifar10 --against cifar10:DIR --count 50000 --steps 100 --json
  ddpm-exporter eval PICTURES --against cifar10.npz --extractor inception.onnx --preset inception-pool3
  ddpm-exporter eval samples.npy --against folder:PICTURES --measures kid,precision-recall
  ddpm-exporter eval runs/toy --against gaussian8:30000
  ddpm-exporter eval runs/glyphs --bits-per-dim 100 --split test";

impl Args {
    /// Refuses flags that nothing would read.
    pub(super) fn check(&self, samples: &Operand) -> Result<(), Failure> {
        let flag = |name, given: bool| given.then_some(name);
        let unread = match samples {
            Operand::Model(_) if self.bits_per_dim.is_some() => self.how.given(),
            Operand::Model(_) => None,
            _ => flag("--count", self.count.is_some())
                .or(flag("--engine", self.engine.is_some()))
                .or(flag("--bits-per-dim", self.bits_per_dim.is_some()))
                .or(self.how.given()),
        };
        let reason = match (unread, samples) {
            (None, _) => return Ok(()),
            (Some(flag), Operand::Model(_)) => {
                format!("{flag} is for samples, and with --bits-per-dim none are drawn")
            }
            (Some(flag), _) => format!("{flag} is for a run, a checkpoint or a package"),
        };
        Err(Failure::Refused(reason.into()))
    }

    pub(super) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            image_size: self.image_size,
            on_broken: match self.on_broken {
                Some(BrokenRule::Skip) => OnBroken::Skip,
                _ => OnBroken::Refuse,
            },
            folder_labels: FolderLabels::None,
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
