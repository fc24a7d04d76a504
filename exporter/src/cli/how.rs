//! Flags that say how to sample.

use ddpm_diffusion::{Clip, GridSpec, Guidance, Recipe, Sampler, Start};

use super::Failure;
use super::model::Model;
use crate::sample::default_clip;

/// How samples come to be; everything that is not said is the model's own.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct How {
    /// A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3 [default: as suits the
    /// model].
    #[arg(long, value_name = "SPEC", help_heading = "Sampling", long_help = long_help())]
    sampler: Option<Sampler>,

    /// Steps of the sampler.
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

fn long_help() -> String {
    let names = Sampler::ALL.map(Sampler::name).join(", ");
    format!(
        "A sampler with its options, such as ddim:eta=0.5 or dpm++:order=3 [default: as suits the \
         model]. There are {names}"
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
        let sampler = self.sampler.unwrap_or(default.sampler);
        let encodes = sampler == Sampler::DdimInverse;
        if encodes && !given {
            return Err(Failure::Refused("ddim-inverse encodes: give it --initial".into()));
        }
        if self.guidance.is_some() && !labelled {
            let reason = format!("{} knows no classes to be guided to", model.name);
            return Err(Failure::Refused(reason.into()));
        }
        let fallback = Recipe::new(sampler, &model.meaning);
        let own = std::mem::discriminant(&sampler) == std::mem::discriminant(&default.sampler);
        let grid = self.grid.clone().unwrap_or_else(|| match sampler {
            Sampler::FlowEuler => fallback.grid.clone(),
            _ => default.grid.clone(),
        });
        let otherwise = if own { default.num_steps } else { fallback.num_steps };
        let clip = if encodes { Clip::None } else { default_clip(model.kind) };
        let (sigma_min, sigma_max) = self.guidance_interval.unwrap_or((0.0, f64::INFINITY));
        Ok(Recipe {
            num_steps: self.steps.or(grid.fixed_steps()).unwrap_or(otherwise),
            grid,
            clip: self.clip.unwrap_or(clip),
            guidance: self.guidance.map(|scale| Guidance { scale, sigma_min, sigma_max }),
            start: if given { Start::State } else { Start::Noise },
            ..fallback
        })
    }
}
