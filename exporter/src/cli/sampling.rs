//! Flags of sampling.

use std::str::FromStr;

use ddpm_diffusion::{Clip, Error, GridSpec, Guidance, Recipe, Sampler, Start};
use ddpm_package::{Defaults, RequestedSampler, SamplingRequest};

use super::Failure;
use super::model::Model;

/// How to sample; anything unset defaults to the model's own.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SamplingFlags {
    /// A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3; auto chooses sampler and
    /// grid for the number of evaluations in --steps [default: the model's].
    #[arg(long, value_name = "SPEC", help_heading = "Sampling", long_help = long_help())]
    sampler: Option<SamplerChoice>,

    /// Steps of the sampler; with auto, evaluations of the network.
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    steps: Option<usize>,

    /// Time points to visit: leading, trailing, linspace, quadratic, karras, exponential, flow,
    /// timesteps:LIST, sigmas:LIST, …
    #[arg(long, value_name = "SPEC", help_heading = "Sampling")]
    grid: Option<GridSpec>,

    /// Clipping of x_0 predictions: none, unit or dynamic [default: unit for pictures].
    #[arg(long, value_name = "SPEC", help_heading = "Sampling")]
    clip: Option<Clip>,

    /// Classifier-free guidance: W · F(label) + (1 − W) · F(no label).
    #[arg(long, value_name = "W", help_heading = "Sampling")]
    guidance: Option<f64>,

    /// Range of sigmas in which guidance acts, such as 0.3:5 [default: all].
    #[arg(long, value_name = "LO:HI", requires = "guidance", value_parser = interval)]
    #[arg(help_heading = "Sampling")]
    guidance_interval: Option<(f64, f64)>,
}

/// A sampler, or the request to choose one.
#[derive(Debug, Clone, Copy)]
enum SamplerChoice {
    Auto,
    Sampler(Sampler),
}

impl FromStr for SamplerChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Sampler) }
    }
}

fn long_help() -> String {
    let names = Sampler::ALL.map(Sampler::name).join(", ");
    format!(
        "A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3; auto chooses sampler \
         and grid for the number of evaluations in --steps [default: the model's]. Samplers: \
         {names}"
    )
}

fn interval(text: &str) -> Result<(f64, f64), String> {
    let parse = |text: &str| text.parse::<f64>().ok();
    let ends = text.split_once(':').and_then(|(low, high)| Some((parse(low)?, parse(high)?)));
    ends.ok_or_else(|| "two sigmas, such as 0.3:5".to_owned())
}

impl SamplingFlags {
    /// Returns the first of these flags that is set.
    pub(super) fn first_set_flag(&self) -> Option<&'static str> {
        let flags = [
            ("--sampler", self.sampler.is_some()),
            ("--steps", self.steps.is_some()),
            ("--grid", self.grid.is_some()),
            ("--clip", self.clip.is_some()),
            ("--guidance", self.guidance.is_some()),
        ];
        flags.iter().find(|(_, is_set)| *is_set).map(|(flag, _)| *flag)
    }

    /// Builds the recipe from the flags.
    ///
    /// * `given`: whether samples start from the states of `--initial`.
    /// * `labelled`: whether they have labels.
    pub(super) fn recipe(
        &self,
        model: &Model,
        given: bool,
        labelled: bool,
    ) -> Result<Recipe, Failure> {
        let sampler = match self.sampler {
            None => RequestedSampler::Default,
            Some(SamplerChoice::Sampler(sampler)) => RequestedSampler::Named(sampler),
            Some(SamplerChoice::Auto) => RequestedSampler::Auto,
        };
        if sampler == RequestedSampler::Auto && self.grid.is_some() {
            let reason = "auto chooses the grid: leave --grid out, or name a sampler";
            return Err(Failure::Refused(reason.into()));
        }
        let request = SamplingRequest {
            sampler,
            num_steps: self.steps,
            grid: self.grid.clone(),
            clip: self.clip,
            guidance: self.guidance(model, labelled)?,
            inpaint: None,
        };
        let (kind, network) = (model.kind, &model.parameterisation);
        let defaults = Defaults { kind, network, sampler: &model.default_sampler };
        let recipe = defaults.recipe(&request)?;
        if recipe.sampler.encodes() && !given {
            let name = recipe.sampler.name();
            return Err(Failure::Refused(format!("{name} encodes: give it --initial").into()));
        }
        Ok(Recipe { start: start(given), ..recipe })
    }

    fn guidance(&self, model: &Model, labelled: bool) -> Result<Option<Guidance>, Failure> {
        if self.guidance.is_some() && !labelled {
            let reason = format!("{} has no classes to guide towards", model.name);
            return Err(Failure::Refused(reason.into()));
        }
        let (sigma_min, sigma_max) = self.guidance_interval.unwrap_or((0.0, f64::INFINITY));
        Ok(self.guidance.map(|scale| Guidance { scale, sigma_min, sigma_max }))
    }
}

fn start(given: bool) -> Start {
    if given { Start::State } else { Start::Noise }
}
