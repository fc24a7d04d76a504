//! What a request leaves unset: one rule for the server, the exporter and training.

use ddpm_diffusion::{
    Clip, Error, GridSpec, Guidance, Inpaint, Parameterisation, Recipe, Sampler, auto,
};

use crate::{DefaultSampler, Kind, Manifest};

/// A request's sampling settings; whatever is absent gets its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingRequest {
    /// The sampler.
    pub sampler: RequestedSampler,
    /// Steps; for [`RequestedSampler::Auto`], evaluations.
    pub num_steps: Option<usize>,
    /// The grid. [`RequestedSampler::Auto`] ignores it and chooses its own.
    pub grid: Option<GridSpec>,
    /// What keeps predictions of x_0 in range.
    pub clip: Option<Clip>,
    /// Classifier-free guidance; absent: none.
    pub guidance: Option<Guidance>,
    /// How a known image is kept; absent: nothing is known.
    pub inpaint: Option<Inpaint>,
}

/// The sampler of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum RequestedSampler {
    /// The model's default.
    #[default]
    Default,
    /// A named sampler.
    Named(Sampler),
    /// Sampler, grid and steps that do best with `num_steps` evaluations.
    Auto,
}

impl From<Option<Sampler>> for RequestedSampler {
    fn from(sampler: Option<Sampler>) -> Self {
        sampler.map_or(Self::Default, Self::Named)
    }
}

/// The defaults of a model.
#[derive(Debug, Clone, Copy)]
pub struct Defaults<'a> {
    /// What its samples are.
    pub kind: Kind,
    /// What its network predicts, on which process.
    pub network: &'a Parameterisation,
    /// Used if a request names no sampler.
    pub sampler: &'a DefaultSampler,
}

impl<'a> Defaults<'a> {
    /// Returns the defaults of a packaged model.
    ///
    /// * `network`: [`Manifest::parameterisation`].
    #[must_use]
    pub fn from_manifest(manifest: &'a Manifest, network: &'a Parameterisation) -> Self {
        Self { kind: manifest.kind, network, sampler: &manifest.default_sampler }
    }

    /// Fills in everything that the request leaves unset, to start from noise:
    ///
    /// * steps: the grid's if it fixes them; the model's for its default sampler; the sampler's
    ///   otherwise;
    /// * grid: the sampler's if it has one; the model's unless that fixes another number of steps;
    ///   the process's otherwise;
    /// * clip: [`Kind::default_clip`].
    ///
    /// # Errors
    ///
    /// As [`auto::choose`].
    pub fn recipe(&self, request: &SamplingRequest) -> Result<Recipe, Error> {
        let (sampler, grid, num_steps) = match request.sampler {
            RequestedSampler::Default => self.with_grid_and_steps(self.sampler.sampler, request),
            RequestedSampler::Named(sampler) => self.with_grid_and_steps(sampler, request),
            RequestedSampler::Auto => self.choose(request)?,
        };
        Ok(Recipe {
            grid,
            num_steps,
            clip: request.clip.unwrap_or_else(|| self.kind.default_clip(sampler)),
            guidance: request.guidance,
            inpaint: request.inpaint,
            ..Recipe::new(sampler, self.network)
        })
    }

    fn choose(&self, request: &SamplingRequest) -> Result<(Sampler, GridSpec, usize), Error> {
        let samples = match self.kind {
            Kind::Image => auto::Samples::Pictures,
            Kind::Points2d => auto::Samples::Points,
        };
        let budget = request.num_steps.unwrap_or(auto::DEFAULT_EVALS);
        auto::choose(self.network, samples, budget, request.guidance, request.inpaint)
    }

    fn with_grid_and_steps(
        &self,
        sampler: Sampler,
        request: &SamplingRequest,
    ) -> (Sampler, GridSpec, usize) {
        let (process, default) = (&self.network.process, self.sampler);
        let fixed = default.grid.fixed_steps();
        let fits = request.num_steps.is_none() || fixed.is_none() || fixed == request.num_steps;
        let model_grid = || if fits { default.grid.clone() } else { GridSpec::default_of(process) };
        let grid = request.grid.clone().or(sampler.own_grid()).unwrap_or_else(model_grid);
        let same = std::mem::discriminant(&default.sampler) == std::mem::discriminant(&sampler);
        let otherwise = if same { default.num_steps } else { sampler.default_steps(process) };
        let num_steps = request.num_steps.or(grid.fixed_steps()).unwrap_or(otherwise);
        (sampler, grid, num_steps)
    }
}

impl Kind {
    /// Returns the default clip rule: pictures are clipped to [−1, 1]; points are not, and neither
    /// are encoded pictures, since decoding could not undo it.
    #[must_use]
    pub fn default_clip(self, sampler: Sampler) -> Clip {
        match self {
            Self::Image if !sampler.encodes() => Clip::Unit,
            Self::Image | Self::Points2d => Clip::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::{BetaSchedule, Edm, Prediction, Schedule, Variance};

    use super::*;

    fn chain() -> Parameterisation {
        let schedule = Schedule::new(BetaSchedule::Linear, 100, 1e-3, 0.2).expect("a schedule");
        Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedSmall)
    }

    /// Returns `sampler on grid in N, clip` for a model with the default `default`, of that form.
    fn completed(
        (kind, network, default): (Kind, &Parameterisation, &str),
        change: impl FnOnce(&mut SamplingRequest),
    ) -> String {
        let (text, num_steps) = default.split_once(" in ").expect("steps");
        let (sampler, grid) = text.split_once(" on ").expect("a grid");
        let sampler = DefaultSampler {
            sampler: sampler.parse().expect("a sampler"),
            num_steps: num_steps.parse().expect("a number"),
            grid: grid.parse().expect("a grid"),
        };
        let mut request = SamplingRequest::default();
        change(&mut request);
        let recipe = Defaults { kind, network, sampler: &sampler }.recipe(&request);
        let Recipe { sampler, grid, num_steps, clip, .. } = recipe.expect("a recipe");
        format!("{sampler} on {grid} in {num_steps}, {clip}")
    }

    fn named(text: &str) -> RequestedSampler {
        RequestedSampler::Named(text.parse().expect("a sampler"))
    }

    fn grid(text: &str) -> Option<GridSpec> {
        Some(text.parse().expect("a grid"))
    }

    #[test]
    fn an_empty_request_gets_the_defaults_of_the_model() {
        let network = chain();
        let model = "ddim:eta=0.5 on linspace in 30";
        let pictures = completed((Kind::Image, &network, model), |_| {});
        assert_eq!(pictures, "ddim:eta=0.5 on linspace in 30, unit");
        let points = completed((Kind::Points2d, &network, model), |_| {});
        assert_eq!(points, "ddim:eta=0.5 on linspace in 30, none");
    }

    #[test]
    fn another_sampler_has_its_own_steps_and_the_grid_of_the_model() {
        let network = chain();
        let model = (Kind::Image, &network, "ddim on linspace in 30");
        let of = |sampler| completed(model, |request| request.sampler = named(sampler));
        assert_eq!(of("ddim:eta=1"), "ddim:eta=1 on linspace in 30, unit");
        assert_eq!(of("ddpm"), "ddpm on linspace in 100, unit");
        assert_eq!(of("lcm"), "lcm on linspace in 4, unit");
        assert_eq!(of("flow-euler"), "flow-euler on flow in 50, unit");
        assert_eq!(of("ddim-inverse"), "ddim-inverse on linspace in 100, none");
    }

    #[test]
    fn set_fields_are_kept() {
        let network = chain();
        let model = (Kind::Image, &network, "ddim on linspace in 30");
        let got = completed(model, |request| {
            request.sampler = named("flow-euler");
            request.grid = grid("trailing");
            request.num_steps = Some(7);
            request.clip = Some(Clip::None);
        });
        assert_eq!(got, "flow-euler on trailing in 7, none");
    }

    #[test]
    fn a_grid_that_fixes_its_steps_decides_them_and_gives_way_to_another_number() {
        let network = chain();
        let model = (Kind::Points2d, &network, "ddim on ddim:25 in 25");
        let steps = |steps| completed(model, |request| request.num_steps = Some(steps));
        assert_eq!(completed(model, |_| {}), "ddim on ddim:25 in 25, none");
        assert_eq!(steps(25), "ddim on ddim:25 in 25, none");
        assert_eq!(steps(10), "ddim on trailing in 10, none");
        let got = completed(model, |request| request.sampler = named("ddpm"));
        assert_eq!(got, "ddpm on ddim:25 in 25, none");
        let got = completed(model, |request| request.grid = grid("sections:4-5"));
        assert_eq!(got, "ddim on sections:4-5 in 9, none");
    }

    #[test]
    fn auto_chooses_within_its_budget_for_the_kind_of_samples() {
        let network = Parameterisation::edm(Edm::PAPER);
        let auto = |kind, steps| {
            completed((kind, &network, "heun on karras in 18"), |request| {
                request.sampler = RequestedSampler::Auto;
                request.num_steps = steps;
            })
        };
        assert_eq!(auto(Kind::Image, None), "unipc on karras in 20, unit");
        assert_eq!(auto(Kind::Points2d, Some(5)), "deis on karras in 5, none");
    }
}
