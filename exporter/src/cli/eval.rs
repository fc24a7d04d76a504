//! `eval`: compares samples with data.

mod drawing;
mod engine;
mod likelihood;
mod operand;

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;

use ddpm_onnx::RuntimeOptions;
use serde::Serialize;
use tch::Device;

use super::Failure;
use super::device::DeviceArgs;
use super::how::How;
use crate::data::{FolderLabels, LoadOptions, OnBroken, Split};
use crate::evaluate::cache::write_rows;
use crate::evaluate::extractor::{Extractor, OnnxOptions};
use crate::evaluate::measures::{Choice, Measure, compare};
use crate::evaluate::preprocessing::{Preprocessing, Preset};
use crate::evaluate::report::{ExtractorReport, Report};
use drawing::Drawing;
use engine::Engine;
use likelihood::Likelihood;
use operand::{Content, Loaded, Operand};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What is judged: a run, a checkpoint or a package (samples are drawn), a folder of pictures, or
    /// an array of features, pictures or points (.npy, .npz, .safetensors).
    #[arg(value_name = "SAMPLES")]
    samples: PathBuf,

    /// By what: a data source such as cifar10:DIR, a folder of pictures, an array, or statistics (.npz
    /// with mu and sigma) [default: the data of the run].
    #[arg(long, value_name = "REFERENCE")]
    against: Option<String>,

    /// What is measured, by name; each must be had [default: what can be had].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    measures: Option<Vec<Measure>>,

    /// Which part of a data source [default: train].
    #[arg(long, value_name = "SPLIT")]
    split: Option<SplitName>,

    /// Side that pictures are brought to [default: the model's; else as they are].
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,

    /// What to do with pictures that cannot be decoded [default: refuse].
    #[arg(long, value_name = "RULE")]
    on_broken: Option<BrokenRule>,

    /// From pictures to features: an ONNX file or a TorchScript module, with its description in a JSON
    /// file beside it [default: the small network that comes with this program].
    #[arg(long, value_name = "FILE", help_heading = "Features")]
    extractor: Option<PathBuf>,

    /// Write that description, of a well-known extractor, beside the file first.
    #[arg(long, value_name = "NAME", requires = "extractor", help_heading = "Features")]
    preset: Option<Preset>,

    /// Where features of references are remembered [default: ddpm/evaluation in the user's cache].
    #[arg(long, env = "DDPM_CACHE", value_name = "DIR", help_heading = "Features")]
    cache: Option<PathBuf>,

    /// Remember no features, and use none that are remembered.
    #[arg(long, help_heading = "Features")]
    no_cache: bool,

    /// Write the features of the samples as an array.
    #[arg(long, value_name = "FILE.npy", help_heading = "Features")]
    save_features: Option<PathBuf>,

    /// Round distances between neighbours to binary16, as ddpm-torch does.
    #[arg(long, help_heading = "Features")]
    binary16: bool,

    /// How many samples are drawn [default: 10000; of points 30000].
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    count: Option<NonZeroU32>,

    /// Seed of the noise, and of subsets and directions [default: 0].
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,

    /// Instead of drawing samples, count the bits per dimension that N items of the reference cost
    /// under the model, term by term: N network calls a timestep.
    #[arg(long, value_name = "N", help_heading = "Likelihood")]
    #[arg(conflicts_with_all = ["measures", "count", "extractor", "save_features", "binary16"])]
    bits_per_dim: Option<NonZeroU32>,

    /// What evaluates the network: libtorch, or for packages onnx [default: libtorch].
    #[arg(long, value_name = "NAME", help_heading = "Sampling")]
    engine: Option<Engine>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    device: DeviceArgs,

    /// ONNX Runtime's library [default: ORT_DYLIB_PATH, beside this program, or the system's].
    #[arg(long, value_name = "FILE")]
    ort_lib: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Part of a data source.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SplitName {
    /// What models are trained on.
    Train,
    /// What was held out.
    Test,
}

/// What to do with pictures that cannot be decoded.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BrokenRule {
    /// Name the first and stop.
    Refuse,
    /// Leave them out.
    Skip,
}

const EXAMPLES: &str = "\
Only the Fréchet distance of Inception's 2048 features is called FID: name that extractor.

Examples:
  ddpm-exporter eval runs/glyphs --count 1000
  ddpm-exporter eval models/cifar10 --against cifar10:DIR --count 50000 --steps 100 --json
  ddpm-exporter eval PICTURES --against cifar10.npz --extractor inception.onnx --preset inception-pool3
  ddpm-exporter eval samples.npy --against folder:PICTURES --measures kid,precision-recall
  ddpm-exporter eval runs/toy --against gaussian8:30000
  ddpm-exporter eval runs/glyphs --bits-per-dim 100 --split test";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let device = self.device.choose()?;
        let operand = Operand::of_samples(&self.samples)?;
        self.check(&operand)?;
        if let (Some(items), Operand::Model(source)) = (self.bits_per_dim, &operand) {
            let (data, options) = self.reference(&operand)?;
            let likelihood = Likelihood {
                items,
                seed: self.seed(),
                engine: self.engine.unwrap_or(Engine::Libtorch),
                device,
                onnx: self.onnx(),
            };
            return self.print(&likelihood.count(source, &data, options)?);
        }
        let (reference, options) = self.reference(&operand)?;
        let reference = reference.load(&options)?;
        let samples = match &operand {
            Operand::Model(source) => self.drawing(device).draw(source, &reference)?,
            other => other.load(&self.load_options())?,
        };
        samples.check_beside(&reference)?;
        let mut extractor = self.extractor(&[&samples, &reference], device)?;
        self.print(&self.report(samples, reference, extractor.as_mut())?)
    }

    fn print(&self, report: &(impl Serialize + Display)) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(report);
            println!("{}", text.map_err(|error| Failure::Failed(error.into()))?);
        } else {
            print!("{report}");
        }
        Ok(())
    }

    /// Refuses flags that nothing would read.
    fn check(&self, samples: &Operand) -> Result<(), Failure> {
        let unread = [
            ("--count", self.count.is_some()),
            ("--engine", self.engine.is_some()),
            ("--bits-per-dim", self.bits_per_dim.is_some()),
        ];
        match unread.iter().find(|(_, given)| *given) {
            Some((flag, _)) if !matches!(samples, Operand::Model(_)) => {
                let reason = format!("{flag} is for a run, a checkpoint or a package");
                Err(Failure::Refused(reason.into()))
            }
            _ => Ok(()),
        }
    }

    /// What the samples are compared with, and how it is loaded.
    fn reference(&self, samples: &Operand) -> Result<(Operand, LoadOptions), Failure> {
        let split = match self.split {
            Some(SplitName::Test) => Split::Test,
            _ => Split::Train,
        };
        let (operand, options) = match (&self.against, samples) {
            (Some(text), Operand::Model(source)) => {
                (Operand::of_reference(text)?, source.load_options(self.load_options()))
            }
            (Some(text), _) => (Operand::of_reference(text)?, self.load_options()),
            (None, Operand::Model(source)) => source.own_data(self.load_options())?,
            (None, _) => {
                let reason = "name what the samples are compared with: --against";
                return Err(Failure::Refused(reason.into()));
            }
        };
        Ok((operand, LoadOptions { split, ..options }))
    }

    fn load_options(&self) -> LoadOptions {
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

    fn drawing(&self, device: Device) -> Drawing<'_> {
        Drawing {
            count: self.count,
            seed: self.seed(),
            engine: self.engine.unwrap_or(Engine::Libtorch),
            how: &self.how,
            device,
            onnx: self.onnx(),
        }
    }

    fn onnx(&self) -> OnnxOptions {
        let runtime = RuntimeOptions { library: self.ort_lib.clone(), ..RuntimeOptions::default() };
        OnnxOptions { runtime, device: self.device.choice() }
    }

    /// The extractor, if there are pictures.
    fn extractor(&self, sides: &[&Loaded], device: Device) -> Result<Option<Extractor>, Failure> {
        let pictures = sides.iter().any(|side| matches!(side.content, Content::Pictures(_)));
        match &self.extractor {
            Some(_) if !pictures => {
                let reason = "--extractor is for pictures, and neither side is any";
                Err(Failure::Refused(reason.into()))
            }
            None if !pictures => Ok(None),
            None => Ok(Some(Extractor::shipped(&self.onnx())?)),
            Some(path) => {
                if let Some(preset) = self.preset {
                    preset.preprocessing().write_beside(path)?;
                }
                let preprocessing = Preprocessing::read_beside(path)?;
                Ok(Some(Extractor::open(path, preprocessing, &self.onnx(), device)?))
            }
        }
    }

    fn report(
        &self,
        samples: Loaded,
        reference: Loaded,
        mut extractor: Option<&mut Extractor>,
    ) -> Result<Report, Failure> {
        let (toy, folder) = (reference.toy, self.cache_folder());
        let (reference, described_reference) =
            reference.into_side(extractor.as_deref_mut(), folder.as_deref())?;
        let (samples, described) = samples.into_side(extractor.as_deref_mut(), None)?;
        if let Some(path) = &self.save_features {
            let rows = samples.rows().ok_or("--save-features: of statistics there are no rows");
            write_rows(path, rows.map_err(|reason| Failure::Refused(reason.into()))?)?;
        }
        let choice = Choice {
            wanted: self.measures.clone(),
            inception: extractor.as_deref().is_some_and(|e| e.preprocessing().is_inception()),
            binary16: self.binary16,
            seed: self.seed(),
            toy,
        };
        let results = compare(&samples, &reference, &choice)?;
        let extractor = extractor.as_deref().map(ExtractorReport::of);
        Ok(Report { samples: described, reference: described_reference, extractor, results })
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// Where references are remembered; `None` if nowhere.
    fn cache_folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        self.cache.clone().or_else(|| {
            let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
            let home = || Some(PathBuf::from(set("HOME")?).join(".cache"));
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
            Some(cache?.join("ddpm/evaluation"))
        })
    }
}
