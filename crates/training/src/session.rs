//! A run in its folder: started, or resumed from its newest checkpoint; led by rank 0, followed by
//! the other ranks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ddpm_console::note;
use ddpm_data::{DataError, Dataset, Form, Source};
use tch::Device;

use crate::config::{DataConfig, TrainConfig};
use crate::distributed::Team;
use crate::error::{CheckpointError, TrainError};
use crate::follow::follow;
use crate::judging::Judge;
use crate::run::{Outcome, run};
use crate::signals::Signals;
use crate::step::Trainer;
use crate::store::{Checkpoint, RunDir, RunLock};

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
    /// Keeps other processes off the folder; absent in a dry run of a new one.
    _lock: Option<RunLock>,
}

/// How [`Session::resume`] finds the data.
#[derive(Debug, Clone, Default)]
pub struct DataRules {
    /// Where the data lies now; `None`: where it was.
    pub source: Option<Source>,
    /// Whether to go on with other data than the run began with.
    pub allow_changed: bool,
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
        mut config: TrainConfig,
        mut dataset: Arc<Dataset>,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let restarted = team.as_ref().is_some_and(|team| team.restarted());
        let may_resume = rules.resume || restarted;
        let begun = RunDir::open_if_begun(&path)?;
        let occupied = begun.is_some() && !may_resume && rules.create;
        let begun = begun.filter(|_| may_resume);
        if let Some(run) = &begun {
            let newest = run.newest_checkpoint()?;
            adopt_order(&mut config, &mut dataset, &newest.config().classes);
        }
        share_settings(&config, team.as_deref())?;
        if occupied && !RunLock::exists(&path) {
            return Err(CheckpointError::Occupied(path).into());
        }
        // From here on, nobody else writes the folder.
        let lock = match rules.create || begun.is_some() {
            true => Some(RunLock::take_new(&path, patience(restarted))?),
            false => None,
        };
        if let Some(run) = begun {
            let checkpoint = run.newest_checkpoint()?;
            checkpoint.config().check_same(&config)?;
            check_steps(&config, &checkpoint)?;
            let trainer = checkpoint.trainer(device)?;
            let (folder, resumed) = (path, true);
            return Ok(Self { folder, resumed, config, dataset, trainer, team, _lock: lock });
        }
        if rules.create {
            RunDir::create(&path)?;
        }
        let trainer = Trainer::new(&config, device)?;
        let (folder, resumed) = (path, false);
        Ok(Self { folder, resumed, config, dataset, trainer, team, _lock: lock })
    }

    /// Resumes the run in a folder.
    ///
    /// * `rules`: where the data lies, and whether it may have changed.
    /// * `change`: changes those settings that may change in a resumed run. Its arguments are the
    ///   settings and the number of items.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] if no checkpoint can be read or another process trains the run,
    /// [`TrainError::Data`] or [`TrainError::Moved`] if the data cannot be loaded,
    /// [`TrainError::Setting`] if it has changed or a setting is out of range, and errors of
    /// `change`.
    pub fn resume<E: From<TrainError>>(
        path: &Path,
        rules: &DataRules,
        change: impl FnOnce(&mut TrainConfig, usize) -> Result<(), E>,
        team: Option<Arc<Team>>,
        device: Device,
    ) -> Result<Self, E> {
        let restarted = team.as_ref().is_some_and(|team| team.restarted());
        // A run that is being trained may not have a checkpoint yet.
        let begun = RunLock::exists(path).then(|| RunLock::take(path, patience(restarted)));
        let begun = begun.transpose().map_err(TrainError::from)?;
        let run = RunDir::open(path).map_err(TrainError::from)?;
        let lock = begun.map_or_else(|| RunLock::take(run.path(), patience(restarted)), Ok);
        let lock = lock.map_err(TrainError::from)?;
        let checkpoint = run.newest_checkpoint().map_err(TrainError::from)?;
        let mut config = checkpoint.config().clone();
        let dataset = Arc::new(find_data(&mut config, rules)?);
        change(&mut config, dataset.len())?;
        config.validate()?;
        check_steps(&config, &checkpoint)?;
        share_settings(&config, team.as_deref())?;
        let trainer = checkpoint.trainer(device)?;
        let (folder, resumed) = (run.path().to_path_buf(), true);
        Ok(Self { folder, resumed, config, dataset, trainer, team, _lock: Some(lock) })
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
            note!("warning: {warning}");
        }
        note!(
            "network {parameters} parameters, predicts {}",
            self.config.diffusion.prediction.name()
        );
        let (done, steps) = (self.trainer.steps_done(), self.config.steps);
        if let Some(text) = resizing(&self.dataset, self.config.data.image_size) {
            note!("{text}");
        }
        let passes = u64::from(steps) * self.config.batch_size as u64 / self.dataset.len() as u64;
        let run = self.folder.display();
        note!("run {run} from step {done} to {steps}: {passes} passes over the data in all");
    }

    /// Joins the team for a dry run, and returns the trainer for its updates.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if another process is lost.
    pub fn rehearse(&mut self) -> Result<&mut Trainer, TrainError> {
        self.join(&Signals::new())?;
        Ok(&mut self.trainer)
    }

    /// Trains to the end, or until a signal requests a stop.
    ///
    /// * `signals`: watched for stops from here on.
    /// * `judge`: makes the judge of samples, if there is to be one, while the other processes
    ///   wait.
    ///
    /// # Errors
    ///
    /// As [`run`](crate::run()), and errors of `judge`.
    pub fn train<J: Judge, E: From<TrainError>>(
        &mut self,
        signals: &Signals,
        judge: impl FnOnce(&Self) -> Result<Option<J>, E>,
    ) -> Result<Outcome, E> {
        signals.watch_for_stops().map_err(TrainError::Signals)?;
        self.join(signals)?;
        let folder = self.open_folder()?;
        let mut judge = judge(self)?;
        let judge = judge.as_mut().map(|judge| judge as &mut dyn Judge);
        let (dataset, trainer) = (Arc::clone(&self.dataset), &mut self.trainer);
        Ok(run(&folder, &self.config, dataset, trainer, signals, &mut |_| (), judge)?)
    }

    fn join(&mut self, signals: &Signals) -> Result<(), TrainError> {
        let team = self.team.clone();
        team.map_or(Ok(()), |team| self.trainer.join(team, signals.clone()))
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

/// Says what becomes of pictures that have not the size of the network.
fn resizing(dataset: &Dataset, image_size: Option<usize>) -> Option<String> {
    let size = image_size? as u32;
    let other = |form: &&Form| (form.width, form.height) != (size, size);
    let largest =
        dataset.forms().keys().filter(other).max_by_key(|form| form.width.max(form.height))?;
    Some(format!(
        "pictures of up to {}x{} are cropped and resized to {size}x{size}: image_size of the \
         settings, which --image-size overrides",
        largest.width, largest.height
    ))
}

/// Trains on a rank other than 0, with the settings of rank 0; each rank reads the data itself.
///
/// Returns the signal that stopped the run, if any.
///
/// # Errors
///
/// [`TrainError::Data`] if the data cannot be loaded, [`TrainError::Setting`] if it is not that of
/// rank 0, [`TrainError::Group`] if another process is
/// lost, and any error of a step.
pub fn follow_leader(
    team: &Arc<Team>,
    device: Device,
    signals: &Signals,
) -> Result<Option<i32>, TrainError> {
    let config: TrainConfig = team.broadcast(None)?;
    team.share(config.batch_size)?;
    let dataset = Arc::new(config.load_data()?);
    config.data.check_unchanged(&dataset)?;
    let mut trainer = Trainer::new(&config, device)?;
    signals.watch_for_stops().map_err(TrainError::Signals)?;
    trainer.join(Arc::clone(team), signals.clone())?;
    follow(&config, dataset, &mut trainer)
}

/// Loads the data of a new run, and prints a summary to stderr.
///
/// # Errors
///
/// [`TrainError::Data`] if it cannot be read.
pub fn load_data(data: &DataConfig, seed: u64) -> Result<Dataset, TrainError> {
    let dataset = ddpm_data::load(&data.source()?, &data.load_options(seed))?;
    announce_data(&dataset);
    Ok(dataset)
}

/// Prints to stderr what the data is, where its labels come from, and what is left out.
fn announce_data(dataset: &Dataset) {
    note!("data {}", dataset.summary());
    note!("labels {}", dataset.label_summary());
    for note in dataset.note_lines() {
        note!("note: {note}");
    }
    for line in dataset.unlabelled_lines().into_iter().chain(dataset.left_out_lines()) {
        note!("left out {line}");
    }
}

/// Brings the classes of new settings and their data into the order of the run to resume.
fn adopt_order(config: &mut TrainConfig, dataset: &mut Arc<Dataset>, order: &[String]) {
    let reordered = Arc::get_mut(dataset).is_some_and(|dataset| dataset.reorder_classes(order));
    if reordered && !config.classes.is_empty() {
        config.classes = order.to_vec();
    }
    if reordered {
        config.data.record(dataset);
    }
}

/// Loads the data of a run that is to be resumed, and notes where it lies and what it is now.
fn find_data(config: &mut TrainConfig, rules: &DataRules) -> Result<Dataset, TrainError> {
    if let Some(source) = &rules.source {
        config.data.source = source.to_string();
    }
    let dataset = config.load_data().map_err(|error| match error {
        TrainError::Data(cause @ (DataError::Missing { .. } | DataError::Read { .. })) => {
            TrainError::Moved { cause }
        }
        other => other,
    })?;
    announce_data(&dataset);
    check_classes(config, &dataset)?;
    let began = config.data.clone();
    config.data.record(&dataset);
    if let Err(change) = began.check_like(&config.data) {
        if !rules.allow_changed {
            return Err(change);
        }
        note!(
            "warning: the data is not what the run began with; it goes on with what is there now"
        );
    }
    Ok(dataset)
}

/// Checks that labels mean what they meant when the run began, which nothing may change.
fn check_classes(config: &TrainConfig, dataset: &Dataset) -> Result<(), TrainError> {
    let found = dataset.class_names().unwrap_or_default();
    if config.classes.is_empty() || config.classes == found {
        return Ok(());
    }
    let lost = |from: &[String], to: &[String]| {
        from.iter().find(|name| !to.contains(name)).map_or("none", String::as_str).to_owned()
    };
    let problem = format!(
        "has {} classes, and the run began with {} (new: {}, gone: {}): restore it, or begin a new \
         run",
        found.len(),
        config.classes.len(),
        lost(found, &config.classes),
        lost(&config.classes, found)
    );
    Err(TrainError::Setting { setting: "data", problem })
}

/// Checks that a run to be resumed has steps left, or has just taken the last one.
fn check_steps(config: &TrainConfig, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    let done = checkpoint.state().steps_done;
    if config.steps >= done {
        return Ok(());
    }
    let problem = format!(
        "is {}, but the run has already taken {done}: ask for at least as many",
        config.steps
    );
    Err(TrainError::Setting { setting: "steps", problem })
}

/// Returns how long to wait for the run's lock: a launcher may restart a process while the one
/// before it still ends.
fn patience(restarted: bool) -> Duration {
    if restarted { Duration::from_secs(30) } else { Duration::ZERO }
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
        note!(
            "warning: {was} threads shared the rows of a batch so far, now {is} do: training is \
             just as good, but its bits differ from those with --threads {was}"
        );
    }
}
