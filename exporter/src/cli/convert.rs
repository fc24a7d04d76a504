//! `convert`: adds graphs to a package that exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddpm_console::note;
use ddpm_conversion::export::extend::extend;
use ddpm_conversion::export::read;
use ddpm_conversion::export::variants::{Addition, cuda_variant};
use ddpm_data::{Dataset, LoadOptions, Source};
use ddpm_evaluation::cache;
use ddpm_evaluation::extractor::{Extractor, OnnxOptions};
use ddpm_evaluation::pictures::PictureSet;
use ddpm_evaluation::preprocessing::Preprocessing;
use ddpm_onnx::{DeviceChoice, Runtime};
use ddpm_package::{GraphName, Kind, Package, PackageWriter, Quality};
use ddpm_training::TrainConfig;
use indicatif::{ProgressBar, ProgressStyle};
use tch::Device;

use super::cache::CacheArgs;
use super::output::print_path;
use super::verify::{OrtArgs, check_as};
use super::{Failure, within};
use crate::int8::{self, Gate, Int8Error, Int8Graph, Quantised};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of the package.
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,

    /// Graphs to add, or to make again: cuda, int8.
    #[arg(long, value_name = "GRAPH,…", value_delimiter = ',', required = true)]
    graphs: Vec<GraphName>,

    /// Folder of the result [default: the package is changed where it is].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace an existing package at --output.
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    int8: Int8Args,

    #[command(flatten)]
    ort: OrtArgs,
}

/// How the int8 graph is judged.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The int8 graph")]
pub(super) struct Int8Args {
    /// Data that its samples are compared with, as for `train --data` [default: what the model
    /// was trained on].
    #[arg(long, value_name = "SOURCE")]
    data: Option<Source>,

    /// Extractor of features, as for `eval --extractor` [default: the small one built in].
    #[arg(long, value_name = "FILE")]
    extractor: Option<PathBuf>,

    /// Samples that each graph draws for the comparison [default: 2000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    int8_samples: Option<u32>,

    /// Write it even if its samples are worse, marked so.
    #[arg(long)]
    force_int8: bool,

    #[command(flatten)]
    cache: CacheArgs,
}

const EXAMPLES: &str = "\
The int8 graph is refused (exit code 6) unless the Fréchet distance of its samples from the data is
at most 1.05 times that of the portable graph's, at the upper end of a 95 % interval.

Examples:
  ddpm-exporter convert models/cifar10 --graphs cuda
  ddpm-exporter convert models/glyphs --graphs int8
  ddpm-exporter convert models/cats --graphs int8 --data folder:CATS --int8-samples 5000";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let wanted: BTreeSet<GraphName> = self.graphs.iter().copied().collect();
        if wanted.contains(&GraphName::Portable) {
            return Err(Failure::Usage("every package has the portable graph".into()));
        }
        let target = self.output.as_deref().unwrap_or(&self.package);
        let overwrite = self.output.is_none() || self.force;
        let package = Package::open(&self.package).map_err(within(&self.package))?;
        // Whether the result can be written is known before minutes of work.
        drop(PackageWriter::new(target, overwrite)?);
        let (mut additions, mut files) = (Vec::new(), Vec::new());
        for graph in wanted {
            match graph {
                GraphName::Portable => {}
                GraphName::Cuda => {
                    additions.push(cuda(&package).map_err(within(&self.package))?);
                }
                GraphName::Int8 => {
                    let made = self.int8.make(&package, None, &self.ort)?;
                    additions.push(made.addition);
                    files.push(made.golden);
                }
            }
        }
        extend_verified(&package, &additions, &files, target, overwrite, &self.ort)?;
        print_path(&target.display());
        Ok(())
    }
}

/// Makes the graph for CUDA.
fn cuda(package: &Package) -> Result<Addition, Failure> {
    let network = read::network(&package.portable_graph()?, Device::Cpu)?;
    let made = cuda_variant(&network, &package.golden()?, &package.manifest().golden)?;
    made.map_err(|left_out| {
        let reason = format!("it cannot have a cuda graph: {}", left_out.reason);
        Failure::Refused(reason.into())
    })
}

impl Int8Args {
    /// Makes and judges the int8 graph; refuses one whose samples are worse.
    ///
    /// * `trained_on`: the data that the model was trained on, if it is at hand.
    pub(super) fn make(
        &self,
        package: &Package,
        trained_on: Option<Dataset>,
        ort: &OrtArgs,
    ) -> Result<Int8Graph, Failure> {
        let place = package.place();
        if package.manifest().kind == Kind::Points2d {
            let reason = "it cannot have an int8 graph: networks of points have no convolutions";
            return Err(within(place)(Failure::Refused(reason.into())));
        }
        let onnx = OnnxOptions { runtime: ort.runtime(), device: DeviceChoice::Cpu };
        let mut extractor = match &self.extractor {
            None => Extractor::shipped(&onnx)?,
            Some(path) => {
                let preprocessing = Preprocessing::read_beside(path)?;
                Extractor::open(path, preprocessing, &onnx, Device::Cpu)?
            }
        };
        let pictures = self.pictures(package, trained_on)?;
        let shape = pictures.shape();
        if shape[..] != package.manifest().sample_shape[..] {
            let reason = format!(
                "the data has pictures of {shape:?}, the model makes {:?}",
                package.manifest().sample_shape
            );
            return Err(Failure::Refused(reason.into()));
        }
        let folder = self.cache.folder();
        let (data, _) = cache::features(folder.as_deref(), &pictures, &mut extractor, |_| ())?;
        let samples = self.int8_samples.map_or(int8::SAMPLES, |count| count as usize);
        let (runtime, _) = onnx.open().map_err(ddpm_evaluation::EvaluateError::from)?;
        note!("calibrating, then drawing {samples} samples with each graph");
        let mut quantised = Quantised::new(package, runtime).map_err(within(place))?;
        let bar = progress(2 * samples);
        let data = data.gaussian()?;
        let gate = Gate { data: &data, shape, extractor: &mut extractor, samples };
        let quality = quantised.judge(gate, |done| bar.set_position(done as u64));
        let quality = quality.map_err(within(place))?;
        bar.finish_and_clear();
        note!("int8: {}", sentence(&quality));
        if !quality.passed && !self.force_int8 {
            return Err(Failure::CheckFailed(format!(
                "the int8 graph is not written: {}; draw more samples for a narrower interval \
                 (--int8-samples), or insist with --force-int8",
                sentence(&quality)
            )));
        }
        quantised.finish(Some(quality)).map_err(within(place))
    }

    /// Returns the data to compare samples with.
    fn pictures(
        &self,
        package: &Package,
        trained_on: Option<Dataset>,
    ) -> Result<PictureSet, Failure> {
        let dataset = match (&self.data, trained_on) {
            (Some(source), _) => {
                let [channels, height, width] = package.manifest().sample_shape[..] else {
                    return Err(Failure::Refused("the model makes no pictures".into()));
                };
                if let Source::Toy { .. } = source {
                    let reason =
                        format!("--data {source} has points, and the model makes pictures");
                    return Err(Failure::Refused(reason.into()));
                }
                let options = LoadOptions {
                    image_size: (height == width).then_some(height),
                    greyscale: channels == 1,
                    ..LoadOptions::default()
                };
                ddpm_data::load(source, &options)?
            }
            (None, Some(dataset)) => dataset,
            (None, None) => training_data(package)?,
        };
        dataset.notes().iter().for_each(|note| note!("note: {note}"));
        PictureSet::from_dataset(Arc::new(dataset))
            .ok_or_else(|| Failure::Refused("the data has no pictures".into()))
    }
}

/// Loads the data that a model was trained on, if it is made by this program; packages do not say
/// where other data is.
fn training_data(package: &Package) -> Result<Dataset, Failure> {
    let unknown = || {
        let place = package.place().display();
        let reason = format!(
            "{place}: samples are compared with data like that of the model: name it with --data"
        );
        Failure::Refused(reason.into())
    };
    let text = fs::read(package.place().join("training.json")).map_err(|_| unknown())?;
    let provenance: serde_json::Value = serde_json::from_slice(&text).map_err(|_| unknown())?;
    let config: TrainConfig =
        serde_json::from_value(provenance["config"].clone()).map_err(|_| unknown())?;
    match config.data.source()?.path_mut() {
        None => Ok(config.load_data()?),
        Some(_) => Err(unknown()),
    }
}

/// Says how good an int8 graph is.
pub(super) fn sentence(quality: &Quality) -> String {
    let Quality { frechet_ratio, upper, limit, samples, relative_error, .. } = quality;
    format!(
        "its {samples} samples are {frechet_ratio:.3} times as far from the data as the portable \
         graph's (95 % interval up to {upper:.3}; {limit} passes), one evaluation differs by \
         {:.1} %",
        100.0 * relative_error
    )
}

fn progress(samples: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} samples, {eta} left");
    let bar = ProgressBar::new(samples as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Adds the int8 graph to a package that was just written.
pub(super) fn add_int8(
    package: &Package,
    trained_on: Dataset,
    target: &Path,
    int8: &Int8Args,
    ort: &OrtArgs,
) -> Result<Package, Failure> {
    let made = int8.make(package, Some(trained_on), ort)?;
    extend_verified(package, &[made.addition], &[made.golden], target, true, ort)
}

/// Adds the int8 graph to a package of random weights, whose samples nobody can judge.
pub(super) fn add_unjudged_int8(package: &Package, ort: &OrtArgs) -> Result<(), Failure> {
    let place = package.place();
    let runtime = Runtime::load(&ort.runtime()).map_err(Int8Error::from)?;
    let quantised = Quantised::new(package, runtime).map_err(within(place))?;
    let made = quantised.finish(None).map_err(within(place))?;
    extend_verified(package, &[made.addition], &[made.golden], place, true, ort)?;
    Ok(())
}

/// Writes a package with more graphs, if all of them pass verification.
fn extend_verified(
    package: &Package,
    additions: &[Addition],
    files: &[(&str, Vec<u8>)],
    target: &Path,
    overwrite: bool,
    ort: &OrtArgs,
) -> Result<Package, Failure> {
    // Beside its place, where there is room for it.
    let place = std::path::absolute(target).map_err(Failure::write(target))?;
    let parent = place.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(Failure::write(parent))?;
    let scratch = tempfile::Builder::new().prefix(".ddpm-package-").tempdir_in(parent);
    let scratch = scratch.map_err(Failure::write(parent))?;
    let tried = scratch.path().join("package");
    extend(package, additions, files, &tried, false)?;
    check_as(&tried, package.place(), ort)?;
    let digest = extend(package, additions, files, target, overwrite)?;
    note!("{} {}, digest {digest}", package.manifest().name, package.manifest().version);
    Package::open(target).map_err(within(target))
}
