//! When samples are judged, how many, and how they are drawn.

use std::path::PathBuf;

use ddpm_diffusion::{GridSpec, Program, Sampler};
use ddpm_package::{DefaultSampler, Kind};
use serde::{Deserialize, Serialize};

use crate::sample::completed;
use crate::train::{TrainConfig, TrainError};

/// Samples that are judged together unless a number is asked for.
const PICTURES: usize = 5000;
const POINTS: usize = 10_000;
/// Most of them.
const MAX_COUNT: usize = 10_000_000;

/// When samples are judged, how many, and how they are drawn; may change when a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvalConfig {
    /// Steps between judgements; 0: never. If ever, there is one at the end.
    pub every: u32,
    /// Samples that are judged together; 0: as suits the kind.
    pub count: usize,
    /// How they are drawn; absent: by the sampler that suits the model.
    pub sampler: Option<Sampler>,
    /// Its steps; absent: as suits the sampler.
    pub num_steps: Option<usize>,
    /// Which points it visits; absent: as suits the sampler.
    pub grid: Option<GridSpec>,
    /// What makes pictures features; absent: the small network that comes with the program.
    pub extractor: Option<PathBuf>,
}

impl TrainConfig {
    /// How many samples are judged together.
    #[must_use]
    pub fn judged_count(&self) -> usize {
        match (self.eval.count, self.kind()) {
            (0, Kind::Image) => PICTURES,
            (0, Kind::Points2d) => POINTS,
            (count, _) => count,
        }
    }

    /// The sampler that draws them.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the process is out of range.
    pub fn judged_sampler(&self) -> Result<DefaultSampler, TrainError> {
        let EvalConfig { sampler, num_steps, grid, .. } = &self.eval;
        let default = self.default_sampler()?;
        Ok(completed(&default, &self.diffusion.network()?, *sampler, *num_steps, grid.clone()))
    }

    /// That sampler, compiled.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if it does not suit the model.
    pub fn judged_program(&self) -> Result<Program, TrainError> {
        self.program(&self.judged_sampler()?)
    }

    /// Checks what is needed if samples are judged at all.
    pub(in crate::train) fn check_eval(&self) -> Result<(), TrainError> {
        if self.eval.every == 0 {
            return Ok(());
        }
        let fault = |setting, problem| Err(TrainError::Setting { setting, problem });
        let count = self.judged_count();
        if !(2..=MAX_COUNT).contains(&count) {
            return fault("eval_count", format!("must be in 2..={MAX_COUNT}, got {count}"));
        }
        if self.eval.sampler == Some(Sampler::DdimInverse) {
            let problem = "must draw samples, and ddim-inverse encodes them";
            return fault("eval_sampler", problem.to_owned());
        }
        if self.eval.extractor.is_some() && self.kind() == Kind::Points2d {
            let problem = "is for pictures, and these are points; leave it out";
            return fault("extractor", problem.to_owned());
        }
        self.judged_program().map(|_| ())
    }
}
