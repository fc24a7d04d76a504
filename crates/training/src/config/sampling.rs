//! How a run's samples are drawn: for pictures of its progress, and for a judge.

use ddpm_diffusion::{Program, Recipe};
use ddpm_network::sample::{compile, default_sampler};
use ddpm_package::{DefaultSampler, Defaults, Kind, SamplingRequest};

use crate::config::{EvalConfig, TrainConfig};
use crate::error::TrainError;

/// Samples per evaluation by default, by the kind of model.
const JUDGED_PICTURES: usize = 5000;
const JUDGED_POINTS: usize = 10_000;

impl TrainConfig {
    /// Returns the kind of a sample: a picture or a point.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.model.kind()
    }

    /// Returns the sampler that suits the model.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the process is out of range.
    pub fn default_sampler(&self) -> Result<DefaultSampler, TrainError> {
        Ok(default_sampler(self.kind(), &self.diffusion.parameterisation()?))
    }

    /// Compiles the [default sampler](Self::default_sampler).
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the schedule is out of range.
    pub fn default_program(&self) -> Result<Program, TrainError> {
        self.program(&self.default_sampler()?)
    }

    /// Compiles a sampler for the model.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if it does not suit the model.
    pub fn program(&self, sampler: &DefaultSampler) -> Result<Program, TrainError> {
        Ok(compile(&self.diffusion.parameterisation()?, self.kind(), sampler)?)
    }

    /// Returns the number of samples per evaluation.
    #[must_use]
    pub fn judged_count(&self) -> usize {
        match (self.eval.count, self.kind()) {
            (0, Kind::Image) => JUDGED_PICTURES,
            (0, Kind::Points2d) => JUDGED_POINTS,
            (count, _) => count,
        }
    }

    /// Returns the sampler that draws the samples to judge.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the process is out of range.
    pub fn judged_sampler(&self) -> Result<DefaultSampler, TrainError> {
        let EvalConfig { sampler, num_steps, ref grid, .. } = self.eval;
        let (default, network) = (self.default_sampler()?, self.diffusion.parameterisation()?);
        let request = SamplingRequest {
            sampler: sampler.into(),
            num_steps,
            grid: grid.clone(),
            ..SamplingRequest::default()
        };
        let defaults = Defaults { kind: self.kind(), network: &network, sampler: &default };
        let Recipe { sampler, num_steps, grid, .. } = defaults.recipe(&request)?;
        Ok(DefaultSampler { sampler, num_steps, grid })
    }

    /// Compiles the [sampler of judged samples](Self::judged_sampler).
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if it does not suit the model.
    pub fn judged_program(&self) -> Result<Program, TrainError> {
        self.program(&self.judged_sampler()?)
    }
}
