//! `export`: a checkpoint becomes a verified model package, or a model of another server.

use std::path::{Path, PathBuf};

use ddpm_package::{MANIFEST_FILE, Package};
use tch::Device;

use super::Failure;
use super::verify::{OrtArgs, check};
use crate::data::{self, Dataset, Source};
use crate::export::package::{Export, ExportError};
use crate::export::triton;
use crate::train::Checkpoint;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of a run (its newest checkpoint is meant) or of a checkpoint; for another layout, of a
    /// package too.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Folder of the package, or of the repository that the model is put into.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// What is written [default: package].
    #[arg(long, value_enum)]
    layout: Option<Layout>,

    /// Name under which the model is served [default: the run's].
    #[arg(long)]
    name: Option<String>,

    /// Version of the model [default: 1].
    #[arg(long)]
    version: Option<String>,

    /// Export the weights of the last step, not their moving average.
    #[arg(long)]
    raw_weights: bool,

    /// Data for the golden vectors [default: what the run was trained on].
    #[arg(long, value_name = "SOURCE")]
    golden_from: Option<Source>,

    /// Leave out the files that make the package a pipeline of diffusers too: they hold the weights once
    /// more.
    #[arg(long)]
    no_weights: bool,

    /// Replace a package, or a model of the repository, that stands at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

/// For which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// A model package: for ddpm-server, onnxruntime and diffusers.
    Package,
    /// A model of a repository of NVIDIA's Triton: it evaluates the network, its caller samples.
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
                    "{}: this is a package already; --layout triton writes it for another server",
                    self.run.display()
                );
                Err(Failure::Refused(reason.into()))
            }
            Layout::Package => {
                self.package(&self.output)?;
                println!("{}", self.output.display());
                Ok(())
            }
            Layout::Triton if is_package && (self.name.is_some() || self.version.is_some()) => {
                let reason = "a package has a name and a version: leave out --name and --version";
                Err(Failure::Refused(reason.into()))
            }
            Layout::Triton if is_package => self.triton(&Package::open(&self.run)?),
            Layout::Triton => {
                // What Triton gets was verified as a package before.
                let folder = tempfile::tempdir().map_err(|cause| Failure::Failed(cause.into()))?;
                self.triton(&self.package(&folder.path().join("package"))?)
            }
        }
    }

    /// Writes and verifies the package of a checkpoint.
    fn package(&self, target: &Path) -> Result<Package, Failure> {
        let checkpoint = Checkpoint::find(&self.run)?;
        let dataset = self.golden_data(&checkpoint)?;
        let export = Export {
            network: &checkpoint.network(self.raw_weights, Device::Cpu)?,
            state: checkpoint.state(),
            dataset: &dataset,
            name: self.name.as_deref().unwrap_or(&checkpoint.config().name),
            version: self.version.as_deref().unwrap_or("1"),
            weights: !self.no_weights,
        };
        write_verified(&export, target, self.force, &self.ort)
    }

    fn triton(&self, package: &Package) -> Result<(), Failure> {
        let folder = triton::write(package, &self.output, self.force)?;
        println!("{}", folder.display());
        Ok(())
    }

    fn golden_data(&self, checkpoint: &Checkpoint) -> Result<Dataset, Failure> {
        let config = checkpoint.config();
        let mut options = config.data.load_options(config.seed);
        let source = match &self.golden_from {
            Some(source) => {
                // Other data need not have the split that the model was trained on.
                options.split = source.default_split();
                source.clone()
            }
            None => config.data.source()?,
        };
        Ok(data::load(&source, &options).map_err(ExportError::from)?)
    }
}

/// Writes a package and recomputes it in both engines; the end of `train` does so too.
pub(super) fn write_verified(
    export: &Export<'_>,
    target: &Path,
    overwrite: bool,
    ort: &OrtArgs,
) -> Result<Package, Failure> {
    let digest = export.write(target, overwrite)?;
    eprintln!("{} {}, digest {digest}", export.name, export.version);
    let package = Package::open(target)?;
    check(&package, ort)?;
    Ok(package)
}
