//! How good the samples of a run are while it trains.
//!
//! Every so many steps samples of the averaged weights are drawn, from the same noise every time, and
//! handed to a [`Judge`] that whoever starts the run has brought: this module knows when samples are
//! judged and which, not how. No step depends on it, so a run that is judged trains the same network.

mod config;
pub use config::EvalConfig;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::distributed::{Purpose, Team, draw};
use super::{Stop, TrainConfig, TrainError, Trainer};
use crate::sample::batch_size;

/// Why samples could not be judged.
pub type Fault = Box<dyn Error + Send + Sync>;

/// Judges the samples of a run.
pub trait Judge {
    /// What samples are seen through, such as an extractor and its digest; `None`: as they are.
    fn through(&self) -> Option<String>;

    /// Forgets the samples it has.
    fn clear(&mut self);

    /// Takes more samples, `[n, …sample shape]`.
    ///
    /// # Errors
    ///
    /// If they cannot be judged, such as those of a model that diverged.
    fn add(&mut self, samples: &[f32]) -> Result<(), Fault>;

    /// Judges the samples it has, and forgets them. The first score tells which step was the best:
    /// there, less is better.
    ///
    /// # Errors
    ///
    /// If they are too few, or too strange.
    fn judge(&mut self) -> Result<Vec<Score>, Fault>;
}

/// One number about samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What logs call it.
    pub key: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The number.
    pub value: f64,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.6}", self.name, self.value)
    }
}

/// How samples came to be and were seen: under other conditions scores do not compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditions {
    count: usize,
    seed: u64,
    sampler: String,
    num_steps: usize,
    grid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<String>,
}

/// A line of the log about samples that were judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EvalLine {
    pub(super) step: u32,
    /// Scores by key; one that is no finite number is absent.
    eval: BTreeMap<String, Option<f64>>,
    eval_conditions: Conditions,
}

/// What came of it.
pub(super) enum Verdict {
    Judged(EvalLine, Vec<Score>),
    /// The run was asked to stop.
    CutShort,
    /// The run goes on without.
    Failed(Fault),
}

/// The judge of a run, and what it has said so far.
pub(super) struct Judging<'a> {
    judge: &'a mut dyn Judge,
    conditions: Conditions,
    /// Under these conditions, in this process and those before it.
    history: Vec<EvalLine>,
    latest: Option<(u32, Vec<Score>)>,
}

impl<'a> Judging<'a> {
    /// Goes on with what the log of a run says of samples under the same conditions.
    pub(super) fn new(
        config: &TrainConfig,
        log: &Path,
        judge: &'a mut dyn Judge,
    ) -> Result<Self, TrainError> {
        let sampler = config.judged_sampler()?;
        let conditions = Conditions {
            count: config.judged_count(),
            seed: config.seed,
            sampler: sampler.sampler.to_string(),
            num_steps: sampler.num_steps,
            grid: sampler.grid.to_string(),
            through: judge.through(),
        };
        let lines = std::fs::read_to_string(log).map_err(TrainError::write(log))?;
        let of_eval = |line: &str| serde_json::from_str::<EvalLine>(line).ok();
        let history =
            lines.lines().filter_map(of_eval).filter(|line| line.eval_conditions == conditions);
        Ok(Self { history: history.collect(), conditions, judge, latest: None })
    }

    /// Draws samples and has them judged.
    ///
    /// # Errors
    ///
    /// What drawing them fails with.
    pub(super) fn judge(
        &mut self,
        config: &TrainConfig,
        trainer: &Trainer,
        stop: &Stop,
    ) -> Result<Verdict, TrainError> {
        self.judge.clear();
        let len = config.model.sample_shape().iter().product::<i64>() as usize;
        let together = batch_size(len) * trainer.team().map_or(1, Team::size);
        let count = config.judged_count();
        for first in (0..count).step_by(together) {
            if stop.requested().is_some() {
                return Ok(Verdict::CutShort);
            }
            let samples =
                draw(config, trainer, Purpose::Judge, first..(first + together).min(count))?;
            if let Err(fault) = self.judge.add(&samples) {
                return Ok(Verdict::Failed(fault));
            }
        }
        Ok(match self.judge.judge() {
            Ok(scores) => {
                let line = self.line(trainer.steps_done(), &scores);
                self.history.push(line.clone());
                self.latest = Some((trainer.steps_done(), scores.clone()));
                Verdict::Judged(line, scores)
            }
            Err(fault) => Verdict::Failed(fault),
        })
    }

    fn line(&self, step: u32, scores: &[Score]) -> EvalLine {
        let value = |score: &Score| Some(score.value).filter(|value| value.is_finite());
        EvalLine {
            step,
            eval: scores.iter().map(|score| (score.key.to_owned(), value(score))).collect(),
            eval_conditions: self.conditions.clone(),
        }
    }

    /// What the summary says.
    pub(super) fn quality(&self) -> Option<Quality> {
        let (step, scores) = self.latest.as_ref()?;
        let Score { key, name, value } = *scores.first()?;
        let of = |line: &EvalLine| Some((line.step, *line.eval.get(key)?.as_ref()?));
        let best = self.history.iter().filter_map(of).min_by(|a, b| a.1.total_cmp(&b.1));
        let conditions = self.conditions.to_string();
        Some(Quality { name, latest: (*step, value), best: best?, conditions })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, seed, sampler, num_steps, grid, through } = self;
        write!(f, "{count} samples, seed {seed}, {sampler}, {num_steps} steps, grid {grid}")?;
        through.as_ref().map_or(Ok(()), |through| write!(f, ", {through}"))
    }
}

/// How good samples were at best and are now, by the first score.
#[derive(Debug)]
pub(super) struct Quality {
    name: &'static str,
    latest: (u32, f64),
    best: (u32, f64),
    conditions: String,
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, latest, best, conditions } = self;
        write!(f, "{name} {:.6} after step {}", best.1, best.0)?;
        if latest.0 != best.0 {
            write!(f, ", {:.6} after step {}", latest.1, latest.0)?;
        }
        write!(f, " ({conditions})")
    }
}
