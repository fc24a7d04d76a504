//! Judges the samples of a run during training.
//!
//! Training knows nothing of evaluation: no metrics, no features, no reference data. At intervals
//! it draws samples with the averaged weights, from the same noise every time, and hands them to a
//! [`Judge`], which the caller provides. This module knows when samples are judged and which
//! ones, not how. No step depends on it, so a judged run trains the same network.

use std::error::Error;
use std::fmt;

mod scoreboard;
pub(crate) use scoreboard::{EvalLine, Judgement, Quality, Scoreboard};

/// Why samples could not be judged.
pub type JudgeError = Box<dyn Error + Send + Sync>;

/// Judges the samples of a run. Implemented outside this crate, which knows nothing of evaluation
/// and only logs the scores.
pub trait Judge {
    /// Names the feature extractor, with a digest; `None` if samples are compared as they are.
    fn extractor(&self) -> Option<String>;

    /// Discards the samples added so far.
    fn clear(&mut self);

    /// Adds samples, `[n, …sample shape]`.
    ///
    /// # Errors
    ///
    /// If they cannot be judged, such as those of a model that diverged.
    fn add(&mut self, samples: &[f32]) -> Result<(), JudgeError>;

    /// Judges the samples added so far, and discards them. The first score decides which step was
    /// the best: lower is better.
    ///
    /// # Errors
    ///
    /// If there are too few samples, or they cannot be judged.
    fn judge(&mut self) -> Result<Vec<Score>, JudgeError>;
}

/// One number that describes samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Its name in logs.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The number.
    pub value: f64,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.6}", self.name, self.value)
    }
}
