//! `train`: data in, a run's folder out, with a verified package at the end.

mod given;

mod new_run;

mod dry_run;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddpm_console::{copy_notes_to, note, quoted};
use ddpm_data::Source;
use ddpm_evaluation::extractor::OnnxOptions;
use ddpm_package::MANIFEST_FILE;
use ddpm_training::distributed::Team;
use ddpm_training::{
    Checkpoint, DataRules, ExportConfig, FolderRules, Outcome, RunDir, Session, Signals,
    TrainConfig, TrainError, follow_leader,
};
use tch::Device;

use self::dry_run::dry_run;
use self::given::GivenFlags;
use self::new_run::NewRun;
use super::cache::CacheArgs;
use super::device::DeviceArgs;
use super::distributed::DistributedArgs;
use super::export::write_verified;
use super::graphs;
use super::judging::JudgeSetup;
use super::labels::LabelFlags;
use super::layers::{Layers, from_environment};
use super::output::print_path;
use super::settings::{
    DiffusionFlags, ExportFlags, NetworkFlags, PaceFlags, RunFlags, TrainingFlags,
};
use super::verify::OrtArgs;
use super::{Failure, within};
use crate::package::Export;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Comes first: the others take their flags out of what was parsed.
    #[command(flatten)]
    given: GivenFlags,

    #[command(flatten)]
    new: NewRun,

    #[command(flatten)]
    labels: LabelFlags,

    /// Folder of a run to resume exactly where its newest checkpoint left it. If its data has moved
    /// since, --data names the new place.
    #[arg(long, value_name = "RUN_DIR")]
    resume: Option<PathBuf>,

    /// Resume although the data is not what the run began with.
    #[arg(long, requires = "resume")]
    allow_changed_data: bool,

    #[command(flatten)]
    settings: RunFlags,

    #[command(flatten)]
    pace: PaceFlags,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    distributed: DistributedArgs,

    /// Resume the run that --out already holds, which must have the same settings, or start one.
    /// Runs restarted by a launcher (torchrun --max-restarts, Slurm's requeue) resume without it.
    #[arg(long, conflicts_with = "resume")]
    resume_or_start: bool,

    /// Take one update, print what the run would cost, check that its folder can be written, and
    /// leave nothing behind.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    export: ExportFlags,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Flags override the environment (DDPM_BATCH_SIZE is --batch-size, and so on), which overrides
--config, which overrides --preset, which overrides the defaults for the data.

Examples:
  ddpm-exporter train --preset small --out runs/small
  ddpm-exporter train --preset cifar10 --data cifar10:DIR --out runs/cifar10 --dry-run
  ddpm-exporter train --data gaussian8 --out runs/toy
  ddpm-exporter train --data glyphs --out runs/glyphs --steps 40000 --lr 1e-3
  ddpm-exporter train --data mnist:tests/fixtures/digits --out runs/digits --name digits
  ddpm-exporter train --data cifar10:cifar-10-batches-bin --out runs/cifar10 --precision bf16
  ddpm-exporter train --data glyphs --out runs/glyphs --eval-every 2000 --eval-count 1000
  ddpm-exporter train --resume runs/cifar10 --steps 900000
  torchrun --no-python --nproc_per_node 8 --max-restarts 3 \\
    ddpm-exporter train --distributed --preset cifar10 --data cifar10:DIR --out runs/cifar10";

/// The run to train, from flags, environment, file and preset.
enum RunRequest {
    New { settings: Layers, folder: PathBuf },
    Resume { folder: PathBuf },
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let launch = self.distributed.launch()?;
        // Command-line errors surface before any device is opened or process awaited.
        let request = self.request()?;
        let signals = Signals::new();
        signals.watch_for_saves().map_err(TrainError::Signals)?;
        let device = self.device.choose_for(launch.as_ref())?;
        ddpm_torch::keep_freed_memory();
        let team = launch.map(|launch| self.distributed.join(launch, device)).transpose()?;
        match team {
            Some(team) if !team.leads() => match follow_leader(&team, device, &signals)? {
                Some(signal) => {
                    let resume = self.resume_command(&request.into_folder());
                    Err(Failure::Stopped { signal, resume })
                }
                None => Ok(()),
            },
            team => self.lead(request, team, device, &signals),
        }
    }

    fn request(&self) -> Result<RunRequest, Failure> {
        if let Some(run) = &self.resume {
            self.check_resumable()?;
            return Ok(RunRequest::Resume { folder: run.clone() });
        }
        let environment: NewRun = from_environment()?;
        let settings = RunFlags {
            network: from_environment()?,
            diffusion: from_environment()?,
            training: from_environment()?,
        };
        let overrides = vec![
            environment.layer(&from_environment()?, &settings, &from_environment()?),
            self.new.layer(&self.labels, &self.settings, &self.pace),
        ];
        let file = self.new.config.as_deref().or(environment.config.as_deref());
        let preset = self.new.preset.as_deref().or(environment.preset.as_deref());
        let settings = Layers::stack(overrides, file, preset)?;
        settings.source()?;
        let missing = || Failure::Usage("name the folder of the run with --out".to_owned());
        let folder = self.new.out.clone().or(environment.out).ok_or_else(missing)?;
        Ok(RunRequest::New { settings, folder })
    }

    /// Refuses flags that a run keeps from its beginning.
    fn check_resumable(&self) -> Result<(), Failure> {
        let fixed = [
            self.given.of::<NewRun>(&["data"]),
            self.given.of::<LabelFlags>(&[]),
            self.given.of::<NetworkFlags>(&[]),
            self.given.of::<DiffusionFlags>(&[]),
            self.given.of::<TrainingFlags>(&[]),
        ]
        .concat();
        if fixed.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "--resume continues a run with the settings that it began with: leave out {}",
            fixed.join(", ")
        )))
    }

    /// Trains as rank 0, which reads the settings and writes the run.
    fn lead(
        &self,
        request: RunRequest,
        team: Option<Arc<Team>>,
        device: Device,
        signals: &Signals,
    ) -> Result<(), Failure> {
        self.check_export(&request)?;
        let mut session = match request {
            RunRequest::New { settings, folder } => self.begin(&settings, folder, team, device)?,
            RunRequest::Resume { folder } => self.resume(&folder, team, device)?,
        };
        if !self.dry_run {
            keep_log(session.folder());
        }
        session.announce();
        let onnx = OnnxOptions { runtime: self.ort.runtime(), device: self.device.choice() };
        let setup = JudgeSetup::open(session.config(), &onnx, device, self.cache.folder())?;
        if self.dry_run {
            return dry_run(&mut session);
        }
        let outcome = session.train(signals, |session| {
            let judge = |setup: JudgeSetup| {
                setup.judge(session.config(), session.dataset(), session.trainer())
            };
            setup.map(judge).transpose()
        })?;
        self.finish(&session, outcome)
    }

    fn begin(
        &self,
        settings: &Layers,
        folder: PathBuf,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Session, Failure> {
        let unwritable = |cause| TrainError::Write { path: folder.clone(), cause };
        let source = settings.source()?.absolute().map_err(unwritable)?;
        let (name, data) = (settings.name(&source), settings.data(&source));
        let dataset = Arc::new(ddpm_training::load_data(&data, settings.seed())?);
        let mut config = settings.config(name, data, &dataset)?;
        self.export.apply(&mut config.export);
        let rules = FolderRules { resume: self.resume_or_start, create: !self.dry_run };
        Ok(Session::begin(folder, rules, config, dataset, team, device)?)
    }

    fn resume(
        &self,
        folder: &Path,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Session, Failure> {
        let change_pace = |config: &mut TrainConfig, items| {
            for pace in [&from_environment()?, &self.pace] {
                pace.apply(config, items)?;
            }
            self.export.apply(&mut config.export);
            Ok(())
        };
        let source = self.new.data.clone().map(Source::absolute).transpose();
        let unwritable = |cause| TrainError::Write { path: folder.into(), cause };
        let rules = DataRules {
            source: source.map_err(unwritable)?,
            allow_changed: self.allow_changed_data,
        };
        Session::resume(folder, &rules, change_pace, team, device)
    }

    /// Looks at the start for what the package needs at the end.
    fn check_export(&self, request: &RunRequest) -> Result<(), Failure> {
        let (mut export, folder) = match request {
            RunRequest::New { folder, .. } => (ExportConfig::default(), folder),
            RunRequest::Resume { folder } => (Checkpoint::find(folder)?.config().export, folder),
        };
        self.export.apply(&mut export);
        if !export.package {
            return Ok(());
        }
        self.ort.check_usable().map_err(|problem| {
            let hint = "train with --no-export to do without the package at the end";
            Failure::Refused(format!("{problem}; or {hint}").into())
        })?;
        let package = folder.join("package");
        if package.exists() && !package.join(MANIFEST_FILE).is_file() {
            let problem = format!(
                "{}: the package would go here, and this is something else: move it away, or train \
                 with --no-export",
                package.display()
            );
            return Err(Failure::Refused(problem.into()));
        }
        Ok(())
    }

    /// Spells the command that continues the run as it was computed: other threads or processes
    /// would round differently.
    fn resume_command(&self, run: &Path) -> String {
        let run = std::path::absolute(run).unwrap_or_else(|_| run.into());
        let run = quoted(&run.display().to_string());
        let distributed = if self.distributed.is_set() { " --distributed" } else { "" };
        format!("ddpm-exporter train --resume {run}{}{distributed}", self.device.spelt())
    }

    /// Reports how the run ended, and writes the package of a finished one.
    fn finish(&self, session: &Session, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Stopped(signal, checkpoint) => {
                note!("saved {}", checkpoint.display());
                let resume = self.resume_command(session.folder());
                Err(Failure::Stopped { signal, resume })
            }
            Outcome::Finished(checkpoint) if !session.config().export.package => {
                print_path(&checkpoint.display());
                Ok(())
            }
            Outcome::Finished(checkpoint) => self.export(session, &checkpoint),
        }
    }

    fn export(&self, session: &Session, checkpoint: &Path) -> Result<(), Failure> {
        let checkpoint = Checkpoint::open(checkpoint)?;
        let network =
            checkpoint.network(false, Device::Cpu).map_err(within(checkpoint.folder()))?;
        let export = Export {
            network: &network,
            state: checkpoint.state(),
            dataset: session.dataset(),
            name: &session.config().name,
            version: "1",
            weights: session.config().export.weights,
            cuda: true,
        };
        let package = RunDir::open(session.folder())?.package();
        let written = write_verified(&export, checkpoint.folder(), &package, true, &self.ort)?;
        graphs::report(&written.left_out);
        print_path(&package.display());
        Ok(())
    }
}

/// Copies what is printed from here on to the log of the run, where it can be read when the
/// terminal is gone.
fn keep_log(run: &Path) {
    let path = RunDir::log_of(run);
    match File::options().append(true).create(true).open(&path) {
        Ok(file) => copy_notes_to(file),
        Err(cause) => note!("warning: {}: cannot be written: {cause}", path.display()),
    }
}

impl RunRequest {
    fn into_folder(self) -> PathBuf {
        match self {
            Self::New { folder, .. } | Self::Resume { folder } => folder,
        }
    }
}
