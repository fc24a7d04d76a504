//! The judge of a run, and its scores so far.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ddpm_network::sample::batch_size;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::distributed::{Purpose, Team};
use crate::drawing::draw;
use crate::error::TrainError;
use crate::judging::{Judge, JudgeError, Score};
use crate::signals::Signals;
use crate::step::Trainer;

/// How samples were drawn and judged: scores compare only under equal conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conditions {
    count: usize,
    seed: u64,
    sampler: String,
    num_steps: usize,
    grid: String,
    #[serde(default, rename = "through", skip_serializing_if = "Option::is_none")]
    extractor: Option<String>,
}

/// A line of the log about judged samples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EvalLine {
    pub(crate) step: u32,
    /// Scores by key; null if not finite.
    eval: BTreeMap<String, Option<f64>>,
    eval_conditions: Conditions,
}

/// The result of judging samples.
pub(crate) enum Judgement {
    Scored(EvalLine, Vec<Score>),
    /// The run is stopping.
    Stopped,
    /// The run continues regardless.
    Failed(JudgeError),
}

/// The judge of a run, and its scores so far.
pub(crate) struct Scoreboard<'a> {
    judge: &'a mut dyn Judge,
    conditions: Conditions,
    /// All lines under these conditions, including those of earlier processes.
    history: Vec<EvalLine>,
    latest: Option<(u32, Vec<Score>)>,
}

impl<'a> Scoreboard<'a> {
    /// Begins with the lines of the log that have the same conditions.
    pub(crate) fn open(
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
            extractor: judge.extractor(),
        };
        let lines = std::fs::read_to_string(log).map_err(TrainError::write(log))?;
        let parse = |line: &str| serde_json::from_str::<EvalLine>(line).ok();
        let history =
            lines.lines().filter_map(parse).filter(|line| line.eval_conditions == conditions);
        Ok(Self { history: history.collect(), conditions, judge, latest: None })
    }

    /// Draws samples and has them judged.
    ///
    /// # Errors
    ///
    /// Those of drawing samples; an error of the judge is a [`Judgement::Failed`].
    pub(crate) fn judge(
        &mut self,
        config: &TrainConfig,
        trainer: &Trainer,
        signals: &Signals,
    ) -> Result<Judgement, TrainError> {
        self.judge.clear();
        let len = config.model.sample_shape().iter().product::<i64>() as usize;
        let together = batch_size(len) * trainer.team().map_or(1, Team::size);
        let count = config.judged_count();
        for first in (0..count).step_by(together) {
            if signals.stop_requested().is_some() {
                return Ok(Judgement::Stopped);
            }
            let samples =
                draw(config, trainer, Purpose::Judge, first..(first + together).min(count))?;
            if let Err(error) = self.judge.add(&samples) {
                return Ok(Judgement::Failed(error));
            }
        }
        Ok(match self.judge.judge() {
            Ok(scores) => {
                let line = self.line(trainer.steps_done(), &scores);
                self.history.push(line.clone());
                self.latest = Some((trainer.steps_done(), scores.clone()));
                Judgement::Scored(line, scores)
            }
            Err(error) => Judgement::Failed(error),
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

    /// Compares the latest samples with the best ones; `None` if this process has judged none.
    pub(crate) fn quality(&self) -> Option<Quality> {
        let (step, scores) = self.latest.as_ref()?;
        let Score { key, name, value } = *scores.first()?;
        let score_at = |line: &EvalLine| Some((line.step, *line.eval.get(key)?.as_ref()?));
        let best = self.history.iter().filter_map(score_at).min_by(|a, b| a.1.total_cmp(&b.1));
        let conditions = self.conditions.to_string();
        Some(Quality { name, latest: (*step, value), best: best?, conditions })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, seed, sampler, num_steps, grid, extractor } = self;
        write!(f, "{count} samples, seed {seed}, {sampler}, {num_steps} steps, grid {grid}")?;
        extractor.as_ref().map_or(Ok(()), |extractor| write!(f, ", {extractor}"))
    }
}

/// The first score of the best and of the latest samples, each with its step.
#[derive(Debug)]
pub(crate) struct Quality {
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
