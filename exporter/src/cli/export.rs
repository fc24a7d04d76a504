//! `export`: a checkpoint becomes a verified model package.

use std::path::{Path, PathBuf};

use ddpm_package::Package;
use tch::Device;

use super::Failure;
use super::verify::{OrtArgs, check};
use crate::data::{self, Dataset, Source};
use crate::export::package::{Export, ExportError};
use crate::train::Checkpoint;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder of a run (its newest checkpoint is meant) or of a checkpoint.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Folder of the package.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

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

    /// Replace a package that stands at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter export runs/glyphs --output models/glyphs
  ddpm-exporter export runs/mine/checkpoints/step-0002000 --output models/early --name early
  ddpm-exporter export runs/digits --output models/digits --golden-from mnist:DIR";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let checkpoint = Checkpoint::find(&self.run)?;
        let dataset = self.golden_data(&checkpoint)?;
        let job = Job {
            checkpoint: &checkpoint,
            dataset: &dataset,
            name: self.name.as_deref().unwrap_or(&checkpoint.config().name),
            version: self.version.as_deref().unwrap_or("1"),
            raw: self.raw_weights,
        };
        job.write_and_check(&self.output, self.force, &self.ort)
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

/// One export; the end of `train` is another.
pub(super) struct Job<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) dataset: &'a Dataset,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) raw: bool,
}

impl Job<'_> {
    /// Writes the package, recomputes it in both engines, and prints its folder.
    pub(super) fn write_and_check(
        &self,
        target: &Path,
        overwrite: bool,
        ort: &OrtArgs,
    ) -> Result<(), Failure> {
        let network = self.checkpoint.network(self.raw, Device::Cpu)?;
        let export = Export {
            network: &network,
            state: self.checkpoint.state(),
            dataset: self.dataset,
            name: self.name,
            version: self.version,
        };
        let digest = export.write(target, overwrite)?;
        eprintln!("{} {}, digest {digest}", self.name, self.version);
        check(&Package::open(target)?, ort)?;
        println!("{}", target.display());
        Ok(())
    }
}
