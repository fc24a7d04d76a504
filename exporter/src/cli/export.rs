//! `export`: turns a checkpoint into a verified package, or into a model for another server.

use std::path::{Path, PathBuf};

use ddpm_console::note;
use ddpm_conversion::export::variants::LeftOut;
use ddpm_conversion::export::{ExportError, triton};
use ddpm_data::{Dataset, LabelSource, Source};
use ddpm_package::{GraphName, MANIFEST_FILE, Package};
use ddpm_training::{Checkpoint, TrainError};
use tch::Device;

use super::convert::{Int8Args, add_int8};
use super::graphs::GraphsArgs;
use super::output::print_path;
use super::verify::{self, OrtArgs};
use super::{Failure, within};
use crate::package::{Export, PackageError};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of a run (uses its newest checkpoint) or a checkpoint; with --layout triton, also of
    /// a package.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Folder of the package, or of the repository to add the model to.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Layout to write [default: package].
    #[arg(long, value_enum)]
    layout: Option<Layout>,

    /// Name to serve the model under [default: the run's].
    #[arg(long)]
    name: Option<String>,

    /// Version of the model [default: 1].
    #[arg(long)]
    version: Option<String>,

    /// Export the weights of the last step instead of their moving average.
    #[arg(long)]
    raw_weights: bool,

    /// Data for the golden vectors [default: the training data].
    #[arg(long, value_name = "SOURCE")]
    golden_from: Option<Source>,

    /// Where the labels of --golden-from come from, as for `train --labels` [default: auto].
    #[arg(long, value_name = "SOURCE", requires = "golden_from")]
    labels: Option<LabelSource>,

    /// Leave out the files that also make the package a diffusers pipeline; they store the weights
    /// a second time.
    #[arg(long)]
    no_weights: bool,

    #[command(flatten)]
    graphs: GraphsArgs,

    #[command(flatten)]
    int8: Int8Args,

    /// Replace an existing package or model at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

/// The server to write for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// A model package, for ddpm-server, onnxruntime and diffusers.
    Package,
    /// A model in a repository for NVIDIA's Triton, which evaluates the network; clients sample.
    Triton,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter export runs/glyphs --output models/glyphs
  ddpm-exporter export runs/mine/checkpoints/step-0002000 --output models/early --name early
  ddpm-exporter export runs/digits --output models/digits --golden-from mnist:DIR
  ddpm-exporter export models/glyphs --layout triton --output model_repository";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let is_package = self.run.join(MANIFEST_FILE).is_file();
        match self.layout.unwrap_or(Layout::Package) {
            Layout::Package if is_package => {
                let reason = format!(
                    "{}: this is already a package; --layout triton writes it for another server",
                    self.run.display()
                );
                Err(Failure::Refused(reason.into()))
            }
            Layout::Package => {
                self.package(&self.output)?;
                print_path(&self.output.display());
                Ok(())
            }
            Layout::Triton if is_package && (self.name.is_some() || self.version.is_some()) => {
                let reason = "a package has a name and a version: leave out --name and --version";
                Err(Failure::Refused(reason.into()))
            }
            Layout::Triton if is_package => {
                self.triton(&Package::open(&self.run).map_err(within(&self.run))?)
            }
            Layout::Triton => {
                // Only what passed verification as a package goes to Triton.
                let folder = tempfile::tempdir().map_err(|cause| Failure::Failed(cause.into()))?;
                self.triton(&self.package(&folder.path().join("package"))?)
            }
        }
    }

    /// Writes and verifies the package of a checkpoint.
    fn package(&self, target: &Path) -> Result<Package, Failure> {
        let checkpoint = Checkpoint::find(&self.run)?;
        let dataset = self.golden_data(&checkpoint)?;
        let network = checkpoint
            .network(self.raw_weights, Device::Cpu)
            .map_err(within(checkpoint.folder()))?;
        let export = Export {
            network: &network,
            state: checkpoint.state(),
            dataset: &dataset,
            name: self.name.as_deref().unwrap_or(&checkpoint.config().name),
            version: self.version.as_deref().unwrap_or("1"),
            weights: !self.no_weights,
            cuda: self.graphs.has(GraphName::Cuda),
        };
        let written = write_verified(&export, checkpoint.folder(), target, self.force, &self.ort)?;
        self.graphs.report(&written.left_out)?;
        match self.graphs.has(GraphName::Int8) {
            true => {
                note!("{} has its other graphs; now the int8 one", target.display());
                add_int8(&written.package, dataset, target, &self.int8, &self.ort)
            }
            false => Ok(written.package),
        }
    }

    fn triton(&self, package: &Package) -> Result<(), Failure> {
        let folder = triton::write(package, &self.output, self.force)?;
        print_path(&folder.display());
        Ok(())
    }

    fn golden_data(&self, checkpoint: &Checkpoint) -> Result<Dataset, Failure> {
        let config = checkpoint.config();
        let Some(source) = &self.golden_from else {
            return config.load_data().map_err(|error| match error {
                TrainError::Data(error) => PackageError::from(error).into(),
                error => error.into(),
            });
        };
        // Other data may lack the split and the labels that the model was trained on.
        let mut options = config.load_options();
        options.split = source.default_split();
        if options.labels != LabelSource::None {
            options.labels = self.labels.clone().unwrap_or_default();
        }
        let mut dataset = ddpm_data::load(source, &options).map_err(PackageError::from)?;
        dataset.reorder_classes(&config.classes);
        Ok(dataset)
    }
}

/// A package that was written and verified.
pub(super) struct Verified {
    pub(super) package: Package,
    pub(super) left_out: Vec<LeftOut>,
}

/// Writes a package and verifies it in both engines.
///
/// * `source`: the checkpoint, for messages.
pub(super) fn write_verified(
    export: &Export<'_>,
    source: &Path,
    target: &Path,
    overwrite: bool,
    ort: &OrtArgs,
) -> Result<Verified, Failure> {
    let left_out =
        verify::write_and_check(target, (export.cuda, overwrite), ort, |cuda, overwrite| {
            let written = Export { cuda, ..*export }.write(target, overwrite);
            let written = written.map_err(|error| match error {
                // The weights are at fault, not the target.
                PackageError::Export(ExportError::NotFinite { .. }) => within(source)(error),
                error => error.into(),
            })?;
            note!("{} {}, digest {}", export.name, export.version, written.digest);
            Ok(written.left_out)
        })?;
    Ok(Verified { package: Package::open(target).map_err(within(target))?, left_out })
}
