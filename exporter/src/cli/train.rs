//! `train`: data in, a run's folder out, with a verified package at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::Device;

use super::Failure;
use super::device::DeviceArgs;
use super::distributed::DistributedArgs;
use super::export::Job;
use super::settings::{Pace, Recipe};
use super::verify::OrtArgs;
use crate::data::{self, Dataset, Source};
use crate::train::distributed::{Team, follow};
use crate::train::{
    Checkpoint, DataConfig, Outcome, RunDir, Stop, TrainConfig, TrainError, Trainer, run,
};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").args(["data", "resume"]).required(true)))]
pub(super) struct Args {
    #[command(flatten)]
    new: Option<NewRun>,

    /// Folder of a run to go on with, exactly where its newest checkpoint left it.
    #[arg(long, value_name = "RUN_DIR", conflicts_with_all = ["NewRun", "Recipe"])]
    resume: Option<PathBuf>,

    #[command(flatten)]
    recipe: Recipe,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    distributed: DistributedArgs,

    /// Do not write a package at the end.
    #[arg(long)]
    no_export: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter train --data gaussian8 --out runs/toy
  ddpm-exporter train --data glyphs --out runs/glyphs --steps 40000 --lr 1e-3
  ddpm-exporter train --data mnist:tests/fixtures/digits --out runs/digits --name digits
  ddpm-exporter train --data cifar10:cifar-10-batches-bin --out runs/cifar10 --precision bf16
  ddpm-exporter train --resume runs/cifar10 --steps 900000
  torchrun --no-python --nproc_per_node 8 --max-restarts 3 \
    ddpm-exporter train --distributed --data cifar10:cifar-10-batches-bin --out runs/cifar10";

/// A run that has not begun.
#[derive(Debug, Clone, clap::Args)]
struct NewRun {
    /// What to train on: swissroll, gaussian8, gaussian25 or glyphs (a count may follow, as in
    /// glyphs:5000), mnist:DIR, cifar10:DIR or folder:DIR.
    #[arg(long, value_name = "SOURCE", requires = "out")]
    #[arg(help_heading = "Data", required = false)]
    data: Source,

    /// Folder of the run: checkpoints, log, grids of samples and the package.
    #[arg(long, value_name = "DIR", help_heading = "Data", required = false)]
    out: PathBuf,

    /// If --out holds a run of the same settings already, go on with it. A launcher that starts
    /// failed processes again (torchrun --max-restarts, Slurm's requeue) has that effect without it.
    #[arg(long, help_heading = "Data")]
    resume_or_start: bool,

    /// Name of the model [default: that of the data].
    #[arg(long, help_heading = "Data")]
    name: Option<String>,

    /// Side that pictures are cropped and resized to [default: as they are].
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    image_size: Option<usize>,

    /// Reduce colour to one channel.
    #[arg(long, help_heading = "Data")]
    greyscale: bool,

    /// Train without labels, even if the data has them.
    #[arg(long, help_heading = "Data")]
    no_labels: bool,

    /// Mirror pictures at random [default: for cifar10 and folders].
    #[arg(long, overrides_with = "no_flip", help_heading = "Data")]
    flip: bool,

    /// Never mirror pictures.
    #[arg(long, help_heading = "Data")]
    no_flip: bool,

    /// What to do with pictures that cannot be decoded [default: refuse].
    #[arg(long, value_enum, help_heading = "Data")]
    on_broken: Option<OnBroken>,
}

/// What to do with pictures that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnBroken {
    /// Stop, and name the first one.
    Refuse,
    /// Leave them out, and say how many.
    Skip,
}

/// A run that is ready for its next step.
struct Ready {
    run: RunDir,
    config: TrainConfig,
    dataset: Arc<Dataset>,
    trainer: Trainer,
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let launch = self.distributed.launch()?;
        let device = self.device.choose_for(launch.as_ref())?;
        let team = launch.map(|launch| self.distributed.join(launch, device)).transpose()?;
        match team {
            Some(team) if !team.leads() => self.follow(&team, device),
            team => self.lead(team.as_ref(), device),
        }
    }

    fn lead(&self, team: Option<&Arc<Team>>, device: Device) -> Result<(), Failure> {
        let mut ready = match (&self.resume, &self.new) {
            (Some(path), _) => self.resumed(path, team, device)?,
            (None, Some(new)) => self.begun(new, team, device)?,
            (None, None) => unreachable!("clap asks for --data or --resume"),
        };
        ready.announce();
        let stop = Stop::on_signals().map_err(TrainError::Signals)?;
        let Ready { run: folder, config, dataset, trainer } = &mut ready;
        if let Some(team) = team {
            trainer.join(Arc::clone(team), stop.clone())?;
        }
        match run(folder, config, Arc::clone(dataset), trainer, &stop, &mut |_| ())? {
            Outcome::Stopped(signal, checkpoint) => {
                eprintln!("saved {}", checkpoint.display());
                Err(Failure::Stopped { signal, run: folder.path().to_path_buf() })
            }
            Outcome::Finished(checkpoint) if self.no_export => {
                println!("{}", checkpoint.display());
                Ok(())
            }
            Outcome::Finished(checkpoint) => {
                let job = Job {
                    checkpoint: &Checkpoint::open(&checkpoint)?,
                    dataset,
                    name: &config.name,
                    version: "1",
                    raw: false,
                };
                job.write_and_check(&folder.package(), true, &self.ort)
            }
        }
    }

    /// What ranks other than 0 do. The settings are those of rank 0; data is read by each of them.
    fn follow(&self, team: &Arc<Team>, device: Device) -> Result<(), Failure> {
        let config: TrainConfig = team.tell(None)?;
        team.share(config.batch_size)?;
        let dataset = Arc::new(open(&config.data, config.seed)?);
        let mut trainer = Trainer::new(&config, device)?;
        let stop = Stop::on_signals().map_err(TrainError::Signals)?;
        trainer.join(Arc::clone(team), stop)?;
        match follow(&config, dataset, &mut trainer)? {
            Some(signal) => Err(Failure::Stopped { signal, run: self.folder().to_path_buf() }),
            None => Ok(()),
        }
    }

    fn begun(
        &self,
        new: &NewRun,
        team: Option<&Arc<Team>>,
        device: Device,
    ) -> Result<Ready, Failure> {
        let mut data = new.data_config().map_err(TrainError::write(&new.out))?;
        let dataset = load(&data, self.recipe.seed.unwrap_or(0))?;
        data.items = Some(dataset.len());
        let classes = dataset.class_names().filter(|_| data.labels).unwrap_or_default().to_vec();
        let name = new.name.clone().unwrap_or_else(|| new.default_name());
        let mut config = TrainConfig::defaults(name, data, classes, dataset.kind());
        self.recipe.apply(&mut config)?;
        self.pace.apply(&mut config);
        config.validate()?;
        share(&config, team)?;
        let goes_on = new.resume_or_start || team.is_some_and(|team| team.restarted());
        let dataset = Arc::new(dataset);
        if let Some(run) = RunDir::begun(&new.out)?.filter(|_| goes_on) {
            let checkpoint = run.newest_checkpoint()?;
            checkpoint.config().check_same(&config)?;
            let trainer = checkpoint.trainer(device)?;
            return Ok(Ready { run, config, dataset, trainer });
        }
        let run = RunDir::create(&new.out)?;
        let trainer = Trainer::new(&config, device)?;
        Ok(Ready { run, config, dataset, trainer })
    }

    fn resumed(
        &self,
        path: &Path,
        team: Option<&Arc<Team>>,
        device: Device,
    ) -> Result<Ready, Failure> {
        let run = RunDir::open(path)?;
        let checkpoint = run.newest_checkpoint()?;
        let mut config = checkpoint.config().clone();
        self.pace.apply(&mut config);
        config.validate()?;
        share(&config, team)?;
        let dataset = Arc::new(load(&config.data, config.seed)?);
        let trainer = checkpoint.trainer(device)?;
        Ok(Ready { run, config, dataset, trainer })
    }

    /// The folder of the run, as it was named.
    fn folder(&self) -> &Path {
        match (&self.resume, &self.new) {
            (Some(run), _) | (None, Some(NewRun { out: run, .. })) => run,
            (None, None) => unreachable!("clap asks for --data or --resume"),
        }
    }
}

/// Tells the other processes the settings, and checks that the batch can be shared with them.
fn share(config: &TrainConfig, team: Option<&Arc<Team>>) -> Result<(), TrainError> {
    if let Some(team) = team {
        team.tell(Some(config))?;
        team.share(config.batch_size)?;
    }
    Ok(())
}

impl NewRun {
    fn data_config(&self) -> std::io::Result<DataConfig> {
        Ok(DataConfig {
            source: absolute(&self.data)?.to_string(),
            image_size: self.image_size,
            greyscale: self.greyscale,
            skip_broken: self.on_broken == Some(OnBroken::Skip),
            labels: !self.no_labels,
            flip: match (self.flip, self.no_flip) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            items: None,
        })
    }

    /// `mnist:a/b` is called mnist, `glyphs:500` glyphs.
    fn default_name(&self) -> String {
        let text = self.data.to_string();
        text.split(':').next().unwrap_or(&text).to_owned()
    }
}

/// The same source from wherever the run is resumed.
fn absolute(source: &Source) -> std::io::Result<Source> {
    Ok(match source {
        Source::Idx(dir) => Source::Idx(std::path::absolute(dir)?),
        Source::Cifar10(dir) => Source::Cifar10(std::path::absolute(dir)?),
        Source::Folder(dir) => Source::Folder(std::path::absolute(dir)?),
        procedural => procedural.clone(),
    })
}

fn open(data: &DataConfig, seed: u64) -> Result<Dataset, TrainError> {
    Ok(data::load(&data.source()?, &data.load_options(seed))?)
}

/// Opens the data, and says what it is.
fn load(data: &DataConfig, seed: u64) -> Result<Dataset, TrainError> {
    let dataset = open(data, seed)?;
    eprintln!("data {}", dataset.summary());
    for (path, reason) in dataset.skipped() {
        eprintln!("left out {}: {reason}", path.display());
    }
    Ok(dataset)
}

impl Ready {
    fn announce(&self) {
        let parameters: usize =
            self.trainer.weights().iter().map(|(_, tensor)| tensor.numel()).sum();
        for warning in self.config.model.warnings() {
            eprintln!("warning: {warning}");
        }
        eprintln!(
            "network {parameters} parameters, predicts {}",
            self.config.diffusion.prediction.name()
        );
        let (done, steps) = (self.trainer.steps_done(), self.config.steps);
        eprintln!("run {} from step {done} to {steps}", self.run.path().display());
    }
}
