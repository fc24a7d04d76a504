//! A run in its folder: started, or resumed from its newest checkpoint; led by rank 0, followed by
//! the other ranks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddpm_data::Dataset;
use tch::Device;

use crate::config::{DataConfig, TrainConfig};
use crate::distributed::Team;
use crate::error::TrainError;
use crate::follow::follow;
use crate::judging::Judge;
use crate::run::{Outcome, run};
use crate::step::Trainer;
use crate::stop::Stop;
use crate::store::{Checkpoint, RunDir};

/// A run that is ready for its next step.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    /// Whether the folder already holds checkpoints of this run.
    resumed: bool,
    config: TrainConfig,
    dataset: Arc<Dataset>,
    trainer: Trainer,
    team: Option<Arc<Team>>,
}

/// What [`Session::begin`] may do with the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderRules {
    /// Resume the run in it, if there is one with the same settings.
    pub resume: bool,
    /// Create it; a dry run leaves nothing behind.
    pub create: bool,
}

impl Session {
    /// Begins a run.
    ///
    /// * `team`: the processes that train together, led by this one. If their launcher has
    ///   restarted them, they resume the run in the folder.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] if the folder holds a run that may not be resumed, or cannot be
    /// written; [`TrainError::Setting`] if the run to resume has other settings.
    pub fn begin(
        path: PathBuf,
        rules: FolderRules,
        config: TrainConfig,
        dataset: Arc<Dataset>,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Self, TrainError> {
        share_settings(&config, team.as_deref())?;
        let restarted = team.as_ref().is_some_and(|team| team.restarted());
        let may_resume = rules.resume || restarted;
        if let Some(run) = RunDir::open_if_begun(&path)?.filter(|_| may_resume) {
            let checkpoint = run.newest_checkpoint()?;
            checkpoint.config().check_same(&config)?;
            let trainer = checkpoint.trainer(device)?;
            return Ok(Self { folder: path, resumed: true, config, dataset, trainer, team });
        }
        if rules.create {
            RunDir::create(&path)?;
        }
        let trainer = Trainer::new(&config, device)?;
        Ok(Self { folder: path, resumed: false, config, dataset, trainer, team })
    }

    /// Resumes the run in a folder.
    ///
    /// * `change`: changes those settings that may change in a resumed run. Its arguments are the
    ///   settings and the number of items.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] if no checkpoint can be read, [`TrainError::Data`] if the data
    /// cannot be loaded, [`TrainError::Setting`] for a setting out of range, and errors of
    /// `change`.
    pub fn resume<E: From<TrainError>>(
        path: &Path,
        change: impl FnOnce(&mut TrainConfig, usize) -> Result<(), E>,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Self, E> {
        let run = RunDir::open(path).map_err(TrainError::from)?;
        let checkpoint = run.newest_checkpoint().map_err(TrainError::from)?;
        let mut config = checkpoint.config().clone();
        let dataset = Arc::new(load_data(&config.data, config.seed)?);
        change(&mut config, dataset.len())?;
        config.validate()?;
        share_settings(&config, team.as_deref())?;
        let trainer = checkpoint.trainer(device)?;
        let folder = run.path().to_path_buf();
        Ok(Self { folder, resumed: true, config, dataset, trainer, team })
    }

    /// Returns the settings of the run.
    #[must_use]
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Returns the data of the run.
    #[must_use]
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Returns the state of the run.
    #[must_use]
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// Returns the folder of the run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Prints to stderr what is about to be trained.
    pub fn announce(&self) {
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
        eprintln!("run {} from step {done} to {steps}", self.folder.display());
    }

    /// Joins the team for a dry run, and returns the trainer for its updates.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if another process is lost.
    pub fn rehearse(&mut self) -> Result<&mut Trainer, TrainError> {
        self.join(&Stop::new())?;
        Ok(&mut self.trainer)
    }

    /// Trains to the end, or until SIGINT or SIGTERM.
    ///
    /// * `judge`: makes the judge of samples, if there is to be one, while the other processes
    ///   wait.
    ///
    /// # Errors
    ///
    /// As [`run`](crate::run()), and errors of `judge`.
    pub fn train<J: Judge, E: From<TrainError>>(
        &mut self,
        judge: impl FnOnce(&Self) -> Result<Option<J>, E>,
    ) -> Result<Outcome, E> {
        let stop = Stop::on_signals().map_err(TrainError::Signals)?;
        self.join(&stop)?;
        let folder = self.open_folder()?;
        let mut judge = judge(self)?;
        let judge = judge.as_mut().map(|judge| judge as &mut dyn Judge);
        let (dataset, trainer) = (Arc::clone(&self.dataset), &mut self.trainer);
        Ok(run(&folder, &self.config, dataset, trainer, &stop, &mut |_| (), judge)?)
    }

    fn join(&mut self, stop: &Stop) -> Result<(), TrainError> {
        let team = self.team.clone();
        team.map_or(Ok(()), |team| self.trainer.join(team, stop.clone()))
    }

    fn open_folder(&self) -> Result<RunDir, TrainError> {
        if !self.resumed {
            return Ok(RunDir::create(&self.folder)?);
        }
        let run = RunDir::open(&self.folder)?;
        warn_of_other_threads(&run.newest_checkpoint()?, &self.trainer);
        Ok(run)
    }
}

/// Trains on a rank other than 0, with the settings of rank 0; each rank reads the data itself.
///
/// Returns the signal that stopped the run, if any.
///
/// # Errors
///
/// [`TrainError::Data`] if the data cannot be loaded, [`TrainError::Group`] if another process is
/// lost, and any error of a step.
pub fn follow_leader(team: &Arc<Team>, device: Device) -> Result<Option<i32>, TrainError> {
    let config: TrainConfig = team.broadcast(None)?;
    team.share(config.batch_size)?;
    let dataset = Arc::new(read_data(&config.data, config.seed)?);
    let mut trainer = Trainer::new(&config, device)?;
    let stop = Stop::on_signals().map_err(TrainError::Signals)?;
    trainer.join(Arc::clone(team), stop)?;
    follow(&config, dataset, &mut trainer)
}

/// Loads the data of a run, and prints a summary to stderr.
///
/// # Errors
///
/// [`TrainError::Data`] if it cannot be read.
pub fn load_data(data: &DataConfig, seed: u64) -> Result<Dataset, TrainError> {
    let dataset = read_data(data, seed)?;
    eprintln!("data {}", dataset.summary());
    for line in dataset.left_out_lines() {
        eprintln!("left out {line}");
    }
    Ok(dataset)
}

fn read_data(data: &DataConfig, seed: u64) -> Result<Dataset, TrainError> {
    Ok(ddpm_data::load(&data.source()?, &data.load_options(seed))?)
}

/// Sends the settings to the other processes, and checks that they can share the batch.
fn share_settings(config: &TrainConfig, team: Option<&Team>) -> Result<(), TrainError> {
    if let Some(team) = team {
        team.broadcast(Some(config))?;
        team.share(config.batch_size)?;
    }
    Ok(())
}

/// Warns if the number of threads has changed, which changes the bits of the result.
fn warn_of_other_threads(checkpoint: &Checkpoint, trainer: &Trainer) {
    let (was, is) = (checkpoint.state().workers, trainer.workers());
    if let Some(was) = was.filter(|was| *was != is && trainer.device() == Device::Cpu) {
        eprintln!(
            "warning: {was} threads shared the rows of a batch so far, now {is} do: training is \
             just as good, but its bits differ from those with --threads {was}"
        );
    }
}
