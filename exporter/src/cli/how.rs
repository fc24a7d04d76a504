//! Flags that say how to sample.

use std::str::FromStr;

use ddpm_diffusion::{Clip, Error, GridSpec, Guidance, Recipe, Sampler, Start, auto};
use ddpm_package::Kind;

use super::Failure;
use super::model::Model;
use crate::sample::{completed, default_clip};
use crate::train::TrainError;

/// How samples come to be; everything that is not said is the model's own.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct How {
    /// A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3; auto chooses sampler and
    /// grid for so many evaluations as --steps says [default: as suits the model].
    #[arg(long, value_name = "SPEC", help_heading = "Sampling", long_help = long_help())]
    sampler: Option<Choice>,

    /// Steps of the sampler; for auto evaluations of the network.
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    steps: Option<usize>,

    /// Which points are visited: leading, trailing, linspace, quadratic, karras, exponential, flow,
    /// timesteps:LIST, sigmas:LIST, …
    #[arg(long, value_name = "SPEC", help_heading = "Sampling")]
    grid: Option<GridSpec>,

    /// What keeps predictions of x_0 in range: none, unit or dynamic [default: unit for pictures].
    #[arg(long, value_name = "SPEC", help_heading = "Sampling")]
    clip: Option<Clip>,

    /// Classifier-free guidance: W · F(label) + (1 − W) · F(no label).
    #[arg(long, value_name = "W", help_heading = "Sampling")]
    guidance: Option<f64>,

    /// The sigmas between which guidance acts, such as 0.3:5 [default: all].
    #[arg(long, value_name = "LO:HI", requires = "guidance", value_parser = interval)]
    #[arg(help_heading = "Sampling")]
    guidance_interval: Option<(f64, f64)>,
}

/// A sampler, or that it is chosen.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Auto,
    Sampler(Sampler),
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Sampler) }
    }
}

fn long_help() -> String {
    let names = Sampler::ALL.map(Sampler::name).join(", ");
    format!(
        "A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3; auto chooses sampler \
         and grid for so many evaluations as --steps says [default: as suits the model]. There are \
         {names}"
    )
}

fn interval(text: &str) -> Result<(f64, f64), String> {
    let parse = |text: &str| text.parse::<f64>().ok();
    let ends = text.split_once(':').and_then(|(low, high)| Some((parse(low)?, parse(high)?)));
    ends.ok_or_else(|| "two sigmas, such as 0.3:5".to_owned())
}

impl How {
    /// The first of these flags that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--sampler", self.sampler.is_some()),
            ("--steps", self.steps.is_some()),
            ("--grid", self.grid.is_some()),
            ("--clip", self.clip.is_some()),
            ("--guidance", self.guidance.is_some()),
        ];
        flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
    }

    /// What was asked for.
    ///
    /// * `given`: whether samples start from given states.
    /// * `labelled`: whether they have labels.
    pub(super) fn recipe(
        &self,
        model: &Model,
        given: bool,
        labelled: bool,
    ) -> Result<Recipe, Failure> {
        let default = &model.default_sampler;
        let sampler = match self.sampler {
            Some(Choice::Auto) => return self.chosen(model, given, labelled),
            Some(Choice::Sampler(sampler)) => sampler,
            None => default.sampler,
        };
        let encodes = sampler == Sampler::DdimInverse;
        if encodes && !given {
            return Err(Failure::Refused("ddim-inverse encodes: give it --initial".into()));
        }
        let guidance = self.guidance(model, labelled)?;
        let (steps, grid) = (self.steps, self.grid.clone());
        let named = completed(default, &model.meaning, Some(sampler), steps, grid);
        let clip = if encodes { Clip::None } else { default_clip(model.kind) };
        Ok(Recipe {
            num_steps: named.num_steps,
            grid: named.grid,
            clip: self.clip.unwrap_or(clip),
            guidance,
            start: start(given),
            ..Recipe::new(sampler, &model.meaning)
        })
    }

    /// What suits the model best within the evaluations that were named.
    fn chosen(&self, model: &Model, given: bool, labelled: bool) -> Result<Recipe, Failure> {
        if self.grid.is_some() {
            let reason = "auto chooses the grid: leave --grid out, or name a sampler";
            return Err(Failure::Refused(reason.into()));
        }
        let guidance = self.guidance(model, labelled)?;
        let samples = match model.kind {
            Kind::Image => auto::Samples::Pictures,
            Kind::Points2d => auto::Samples::Points,
        };
        let evals = self.steps.unwrap_or(auto::DEFAULT_EVALS);
        let (sampler, grid, num_steps) =
            auto::choose(&model.meaning, samples, evals, guidance, None)
                .map_err(TrainError::from)?;
        Ok(Recipe {
            grid,
            num_steps,
            clip: self.clip.unwrap_or(default_clip(model.kind)),
            guidance,
            start: start(given),
            ..Recipe::new(sampler, &model.meaning)
        })
    }

    fn guidance(&self, model: &Model, labelled: bool) -> Result<Option<Guidance>, Failure> {
        if self.guidance.is_some() && !labelled {
            let reason = format!("{} knows no classes to be guided to", model.name);
            return Err(Failure::Refused(reason.into()));
        }
        let (sigma_min, sigma_max) = self.guidance_interval.unwrap_or((0.0, f64::INFINITY));
        Ok(self.guidance.map(|scale| Guidance { scale, sigma_min, sigma_max }))
    }
}

fn start(given: bool) -> Start {
    if given { Start::State } else { Start::Noise }
}
