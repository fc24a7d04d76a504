//! `train`: data in, a run's folder out, with a verified package at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::Device;

use super::Failure;
use super::cache::CacheArgs;
use super::device::DeviceArgs;
use super::distributed::DistributedArgs;
use super::dry_run::dry_run;
use super::export::write_verified;
use super::judging::Bench;
use super::layers::{DataKeys, Layer, Layers, from_environment};
use super::settings::{Pace, Recipe};
use super::verify::OrtArgs;
use crate::data::{self, Dataset, Source, Split};
use crate::evaluate::extractor::OnnxOptions;
use crate::export::package::Export;
use crate::train::distributed::{Team, follow};
use crate::train::{
    Checkpoint, DataConfig, Judge, Outcome, RunDir, Stop, TrainConfig, TrainError, Trainer, run,
};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    new: NewRun,

    /// Folder of a run to go on with, exactly where its newest checkpoint left it.
    #[arg(long, value_name = "RUN_DIR")]
    #[arg(conflicts_with_all = ["NewRun", "Network", "Diffusion", "Training"])]
    resume: Option<PathBuf>,

    #[command(flatten)]
    recipe: Recipe,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    distributed: DistributedArgs,

    /// If --out holds a run of the same settings already, go on with it. A launcher that starts
    /// failed processes again (torchrun --max-restarts, Slurm's requeue) has that effect without it.
    #[arg(long, conflicts_with = "resume")]
    resume_or_start: bool,

    /// Take one update, say what the run would cost, prove that its folder can be written, and leave
    /// nothing.
    #[arg(long)]
    dry_run: bool,

    /// Do not write a package at the end.
    #[arg(long)]
    no_export: bool,

    /// Leave out of the package the files that make it a pipeline of diffusers too: they hold the weights
    /// once more.
    #[arg(long)]
    no_weights: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Flags beat the environment (DDPM_BATCH_SIZE is --batch-size, and so on), which beats --config, which
beats --preset, which beats what suits the data.

Examples:
  ddpm-exporter train --preset small --out runs/small
  ddpm-exporter train --preset cifar10 --data cifar10:DIR --out runs/cifar10 --dry-run
  ddpm-exporter train --data gaussian8 --out runs/toy
  ddpm-exporter train --data glyphs --out runs/glyphs --steps 40000 --lr 1e-3
  ddpm-exporter train --data mnist:tests/fixtures/digits --out runs/digits --name digits
  ddpm-exporter train --data cifar10:cifar-10-batches-bin --out runs/cifar10 --precision bf16
  ddpm-exporter train --data glyphs --out runs/glyphs --eval-every 2000 --eval-count 1000
  ddpm-exporter train --resume runs/cifar10 --steps 900000
  torchrun --no-python --nproc_per_node 8 --max-restarts 3 \
    ddpm-exporter train --distributed --preset cifar10 --data cifar10:DIR --out runs/cifar10";

/// A run that has not begun.
#[derive(Debug, Clone, Default, clap::Args)]
struct NewRun {
    /// What to train on: swissroll, gaussian8, gaussian25 or glyphs (a count may follow, as in
    /// glyphs:5000), gaussian8-labels or gaussian25-labels (the mode of a point is its class),
    /// mnist:DIR, cifar10:PATH, celeba:PATH, celebahq:PATH, lsun:PATH, parquet:PATH, or folder:PATH
    /// (any pictures, in a folder or a zip archive).
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<Source>,

    /// Folder of the run: checkpoints, log, grids of samples and the package.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    out: Option<PathBuf>,

    /// Settings to begin with, by name: see `ddpm-exporter presets`.
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    preset: Option<String>,

    /// Settings in a file: TOML as `ddpm-exporter init` writes it, or JSON of ddpm-torch.
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,

    /// Name of the model [default: that of the data].
    #[arg(long, help_heading = "Data")]
    name: Option<String>,

    /// Side that pictures are cropped and resized to [default: as they are; celeba: 64].
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    image_size: Option<usize>,

    /// Reduce colour to one channel.
    #[arg(long, help_heading = "Data")]
    greyscale: bool,

    /// Train without labels, even if the data has them.
    #[arg(long, help_heading = "Data")]
    no_labels: bool,

    /// Which part of the data [default: train; celeba: all, as the reference].
    #[arg(long, value_enum, help_heading = "Data")]
    split: Option<Split>,

    /// Mirror pictures at random [default: for all but digits and glyphs].
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
pub(super) enum OnBroken {
    /// Stop, and name the first one.
    Refuse,
    /// Leave them out, and say how many.
    Skip,
}

/// A run that is ready for its next step.
struct Ready {
    run: PathBuf,
    /// Whether its folder holds its checkpoints already.
    goes_on: bool,
    config: TrainConfig,
    dataset: Arc<Dataset>,
    trainer: Trainer,
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let launch = self.distributed.launch()?;
        // What is wrong with the command line is found out before devices and processes are.
        let layers = self.resume.is_none().then(|| self.layers()).transpose()?;
        layers.as_ref().map(Layers::source).transpose()?;
        let out = self.folder()?;
        let device = self.device.choose_for(launch.as_ref())?;
        ddpm_torch::keep_freed_memory();
        let team = launch.map(|launch| self.distributed.join(launch, device)).transpose()?;
        match team {
            Some(team) if !team.leads() => self.follow(&team, &out, device),
            team => self.lead(team.as_ref(), layers.as_ref(), out, device),
        }
    }

    fn lead(
        &self,
        team: Option<&Arc<Team>>,
        layers: Option<&Layers>,
        out: PathBuf,
        device: Device,
    ) -> Result<(), Failure> {
        let mut ready = match layers {
            None => self.resumed(&out, team, device)?,
            Some(layers) => self.begun(layers, out, team, device)?,
        };
        ready.announce();
        let Ready { run: path, goes_on, config, dataset, trainer } = &mut ready;
        let onnx = OnnxOptions { runtime: self.ort.runtime(), device: self.device.choice() };
        let bench = Bench::open(config, &onnx, device, self.cache.folder())?;
        if self.dry_run {
            join(trainer, team, &Stop::new())?;
            return dry_run(path, config, Arc::clone(dataset), trainer);
        }
        let stop = Stop::on_signals().map_err(TrainError::Signals)?;
        join(trainer, team, &stop)?;
        let folder = &if *goes_on { RunDir::open(path)? } else { RunDir::create(path)? };
        if *goes_on {
            warn_of_threads(folder, trainer)?;
        }
        let mut judge = bench.map(|bench| bench.judge(config, dataset, trainer)).transpose()?;
        let judge = judge.as_mut().map(|judge| judge as &mut dyn Judge);
        match run(folder, config, Arc::clone(dataset), trainer, &stop, &mut |_| (), judge)? {
            Outcome::Stopped(signal, checkpoint) => {
                eprintln!("saved {}", checkpoint.display());
                Err(Failure::Stopped { signal, run: folder.path().to_path_buf() })
            }
            Outcome::Finished(checkpoint) if self.no_export => {
                println!("{}", checkpoint.display());
                Ok(())
            }
            Outcome::Finished(checkpoint) => {
                let checkpoint = Checkpoint::open(&checkpoint)?;
                let export = Export {
                    network: &checkpoint.network(false, Device::Cpu)?,
                    state: checkpoint.state(),
                    dataset,
                    name: &config.name,
                    version: "1",
                    weights: !self.no_weights,
                };
                write_verified(&export, &folder.package(), true, &self.ort)?;
                println!("{}", folder.package().display());
                Ok(())
            }
        }
    }

    /// What ranks other than 0 do. The settings are those of rank 0; data is read by each of them.
    fn follow(&self, team: &Arc<Team>, out: &Path, device: Device) -> Result<(), Failure> {
        let config: TrainConfig = team.tell(None)?;
        team.share(config.batch_size)?;
        let dataset = Arc::new(open(&config.data, config.seed)?);
        let mut trainer = Trainer::new(&config, device)?;
        let stop = Stop::on_signals().map_err(TrainError::Signals)?;
        join(&mut trainer, Some(team), &stop)?;
        match follow(&config, dataset, &mut trainer)? {
            Some(signal) => Err(Failure::Stopped { signal, run: out.to_path_buf() }),
            None => Ok(()),
        }
    }

    fn begun(
        &self,
        layers: &Layers,
        out: PathBuf,
        team: Option<&Arc<Team>>,
        device: Device,
    ) -> Result<Ready, Failure> {
        let source = layers.source()?.absolute().map_err(TrainError::write(&out))?;
        let (name, data) = (layers.name(&source), layers.data(&source));
        let dataset = Arc::new(load(&data, layers.seed())?);
        let config = layers.config(name, data, &dataset)?;
        share(&config, team)?;
        let may_go_on = self.resume_or_start || team.is_some_and(|team| team.restarted());
        if let Some(run) = RunDir::begun(&out)?.filter(|_| may_go_on) {
            let checkpoint = run.newest_checkpoint()?;
            checkpoint.config().check_same(&config)?;
            let trainer = checkpoint.trainer(device)?;
            return Ok(Ready { run: out, goes_on: true, config, dataset, trainer });
        }
        if !self.dry_run {
            RunDir::create(&out)?;
        }
        let trainer = Trainer::new(&config, device)?;
        Ok(Ready { run: out, goes_on: false, config, dataset, trainer })
    }

    /// What was said of the run: by a preset and a file, in the environment, by flags.
    fn layers(&self) -> Result<Layers, Failure> {
        let environment: NewRun = from_environment(variable)?;
        let recipe = Recipe {
            network: from_environment(variable)?,
            diffusion: from_environment(variable)?,
            training: from_environment(variable)?,
        };
        let said = vec![
            environment.layer(&recipe, &from_environment(variable)?),
            self.new.layer(&self.recipe, &self.pace),
        ];
        let file = self.new.config.as_deref().or(environment.config.as_deref());
        let preset = self.new.preset.as_deref().or(environment.preset.as_deref());
        Layers::stack(said, file, preset)
    }

    /// The folder of the run, as it was named.
    fn folder(&self) -> Result<PathBuf, Failure> {
        if let Some(run) = &self.resume {
            return Ok(run.clone());
        }
        let environment: NewRun = from_environment(variable)?;
        let missing = || Failure::Usage("name the folder of the run with --out".to_owned());
        self.new.out.clone().or(environment.out).ok_or_else(missing)
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
        let dataset = Arc::new(load(&config.data, config.seed)?);
        for pace in [&from_environment(variable)?, &self.pace] {
            pace.apply(&mut config, dataset.len())?;
        }
        config.validate()?;
        share(&config, team)?;
        let trainer = checkpoint.trainer(device)?;
        Ok(Ready { run: run.path().to_path_buf(), goes_on: true, config, dataset, trainer })
    }
}

/// Says so if a run cannot go on with the bits that it would have had.
fn warn_of_threads(run: &RunDir, trainer: &Trainer) -> Result<(), TrainError> {
    let checkpoint = run.newest_checkpoint()?;
    let (was, is) = (checkpoint.state().workers, trainer.workers());
    if let Some(was) = was.filter(|was| *was != is && trainer.device() == Device::Cpu) {
        eprintln!(
            "warning: {was} threads shared the rows of a batch so far, and {is} do from here on: the \
             training is as good, but not the same to the bit as with --threads {was}"
        );
    }
    Ok(())
}

/// Tells the other processes the settings, and checks that the batch can be shared with them.
fn share(config: &TrainConfig, team: Option<&Arc<Team>>) -> Result<(), TrainError> {
    if let Some(team) = team {
        team.tell(Some(config))?;
        team.share(config.batch_size)?;
    }
    Ok(())
}

/// Makes a trainer one of a team, if there is one.
fn join(trainer: &mut Trainer, team: Option<&Arc<Team>>, stop: &Stop) -> Result<(), TrainError> {
    team.map_or(Ok(()), |team| trainer.join(Arc::clone(team), stop.clone()))
}

impl NewRun {
    /// What was said by flags, or in the environment.
    fn layer(&self, recipe: &Recipe, pace: &Pace) -> Layer {
        Layer {
            name: self.name.clone(),
            data: DataKeys {
                source: self.data.as_ref().map(ToString::to_string),
                split: self.split,
                image_size: self.image_size,
                greyscale: self.greyscale.then_some(true),
                skip_broken: self.on_broken.map(|on_broken| on_broken == OnBroken::Skip),
                labels: self.no_labels.then_some(false),
                flip: match (self.flip, self.no_flip) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                },
            },
            recipe: recipe.clone(),
            pace: pace.clone(),
            ..Layer::default()
        }
    }
}

/// A variable of the environment.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
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
        eprintln!("run {} from step {done} to {steps}", self.run.display());
    }
}
