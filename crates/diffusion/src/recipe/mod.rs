//! Compiles everything that determines a run to a program.

use crate::inpaint::{inpaint, replace_sample};
use crate::samplers::{Denoiser, Step};
use crate::{
    Clip, Error, Grid, GridSpec, Guidance, Inpaint, Label, Mix, NoiseAddress, OptionField,
    Parameterisation, Point, Process, Program, Row, Sampler,
};

mod rows;
use rows::{fused, numbered, silent};

/// Everything that determines how samples are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The sampler.
    pub sampler: Sampler,
    /// Which points of the process it visits.
    pub grid: GridSpec,
    /// Intervals of the grid.
    pub num_steps: usize,
    /// What keeps predictions of x_0 in range.
    pub clip: Clip,
    /// Classifier-free guidance, if any.
    pub guidance: Option<Guidance>,
    /// What a sample starts from.
    pub start: Start,
    /// Noise that samples share, if any.
    pub shared_noise: Option<SharedNoise>,
    /// How the known part of an image is kept, if there is one.
    pub inpaint: Option<Inpaint>,
}

/// What a sample starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Noise: draw 0.
    Noise,
    /// An input state at the first point, in the coordinates of the process: x_T
    /// for a sampler, the image for one that [encodes](Sampler::encodes).
    State,
    /// An input image, noised to the first of the remaining steps: SDEdit (Meng et
    /// al. 2021).
    Image {
        /// Share of the grid's S points at which steps begin, in [0, 1]: the last
        /// ⌊strength · S⌋. 0 returns the image, with its known part in place; 1 starts at
        /// full noise.
        strength: f64,
    },
}

/// Noise shared by samples of different indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedNoise {
    /// The index whose noise is shared.
    pub index: u64,
    /// Whether x_T, or the noise on an input image, is shared.
    pub start: bool,
    /// Whether the noise of the steps is shared.
    pub steps: bool,
}

impl Recipe {
    /// Creates the default recipe of a sampler for a network: its grid and steps, no
    /// clip, no guidance, from noise.
    #[must_use]
    pub fn new(sampler: Sampler, network: &Parameterisation) -> Self {
        let default_grid = || GridSpec::default_of(&network.process);
        Self {
            sampler,
            grid: sampler.own_grid().unwrap_or_else(default_grid),
            num_steps: sampler.default_steps(&network.process),
            clip: Clip::None,
            guidance: None,
            start: Start::Noise,
            shared_noise: None,
            inpaint: None,
        }
    }

    /// Compiles the rows.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] for grid and steps, [`Error::Option`] for an option out of
    /// range, [`Error::Sampler`] for parts that do not suit each other or the network.
    pub fn compile(&self, network: &Parameterisation) -> Result<Program, Error> {
        let guidance = self.guidance.map(Guidance::check).transpose()?;
        let grid = self.grid.grid(&network.process, self.num_steps)?;
        self.check_grid(&grid)?;
        let denoiser = Denoiser { network, clip: self.clip, guidance };
        if self.sampler.encodes() {
            return self.encode(&denoiser, &grid);
        }
        let grid = match self.start {
            Start::Image { strength } => match remaining(strength, grid.points().len())? {
                0 => return Program::new(numbered(vec![self.untouched()])),
                steps => grid.last(steps),
            },
            Start::Noise | Start::State => grid,
        };
        let mut steps = self.sampler.steps(&denoiser, &grid)?;
        if let Some(known) = &self.inpaint {
            inpaint(known, self.sampler, &mut steps)?;
        }
        self.refuse_noisy_end(&grid, &steps)?;
        self.share(&mut steps);
        let prologue = self.prologue(&network.process, &grid.points()[0]);
        steps[0].rows.splice(0..0, prologue);
        let mut rows = numbered(fused(steps));
        self.share_start(&mut rows);
        keep_draws(&mut rows);
        Program::new(rows)
    }

    /// Refuses what a sampler cannot do with a grid, before anything is built.
    fn check_grid(&self, grid: &Grid) -> Result<(), Error> {
        let rows = self.sampler.facts().rows_per_step * grid.points().len().saturating_sub(1) + 1;
        if rows > Program::MAX_ROWS {
            let (name, max) = (self.sampler.name(), Program::MAX_ROWS);
            return Err(Error::num_steps(format!(
                "num_steps of {} makes {rows} rows of {name}, and {max} is the most",
                self.num_steps
            )));
        }
        let repeated = grid.intervals().find(|(from, to)| from.rho() == to.rho());
        match repeated.filter(|_| self.sampler.facts().divides_by_steps) {
            None => Ok(()),
            Some((from, _)) => Err(Error::points(format!(
                "{} visits timestep {} twice, and {} divides by the length of each step: use \
                 another grid, such as quadratic, or ddpm, ddim or heun",
                self.grid.name(),
                from.t,
                self.sampler.name()
            ))),
        }
    }

    /// Refuses noise in the last row: it would stay in the finished sample. So a grid
    /// that stops above 0 needs a sampler without noise.
    fn refuse_noisy_end(&self, grid: &Grid, steps: &[Step]) -> Result<(), Error> {
        let last = steps.last().and_then(|step| step.rows.last());
        if grid.end().is_data() || !last.is_some_and(Row::adds_noise) {
            return Ok(());
        }
        let (source, instead) = match self.inpaint {
            Some(Inpaint::ReplaceXt { .. }) => ("replace_x_t", "replace x_0"),
            _ => (self.sampler.name(), "use a sampler without noise, such as ddim or heun"),
        };
        Err(Error::points(format!(
            "it stops at sigma {}, where {source} would leave fresh noise in the sample: end the \
             list with 0, or {instead}",
            grid.end().rho()
        )))
    }

    /// Returns one step that changes nothing but the known part.
    fn untouched(&self) -> Step {
        let row = if self.inpaint.is_some() { replace_sample() } else { silent() };
        Step { from: Point::DATA, to: Point::DATA, rows: vec![row] }
    }

    fn encode(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Program, Error> {
        if self.start != Start::State || self.inpaint.is_some() {
            let name = self.sampler.name();
            return Err(Error::Sampler(format!(
                "{name} encodes a given image: give one, without strength or mask"
            )));
        }
        let steps = self.sampler.steps(denoiser, grid)?;
        if steps.is_empty() {
            let name = self.sampler.name();
            return Err(Error::points(format!("{name} needs at least 2 points")));
        }
        Program::new(numbered(steps))
    }

    /// Sets the index whose noise the rows share.
    fn share(&self, steps: &mut [Step]) {
        let Some(SharedNoise { index, steps: true, .. }) = self.shared_noise else { return };
        let rows = steps.iter_mut().flat_map(|step| &mut step.rows);
        rows.for_each(|row| row.noise.index = Some(index));
    }

    /// Inserts a row that replaces x_T by that of the index whose noise is shared. The
    /// other rows stay the same.
    fn share_start(&self, rows: &mut Vec<Row>) {
        let Some(index) = self.shared_start() else { return };
        if self.start == Start::Noise {
            let label = Label { ends_step: false, ..rows[0].label };
            let u = Mix { z: 1.0, ..Mix::ZERO };
            let noise = NoiseAddress { draw: Some(0), index: Some(index) };
            rows.insert(0, Row { u, noise, label, t: rows[0].t, ..silent() });
        }
    }

    fn shared_start(&self) -> Option<u64> {
        self.shared_noise.filter(|shared| shared.start).map(|shared| shared.index)
    }

    /// Returns the row before the first step that takes a sample's initial state to the
    /// first point, if it is not there yet.
    fn prologue(&self, process: &Process, first: &Point) -> Option<Row> {
        // A variance-preserving process starts from noise of variance 1.
        let spread = match process {
            Process::Discrete(_) => 1.0,
            Process::Edm(_) | Process::Flow => first.sigma,
        };
        let (u, noise) = match self.start {
            Start::State => return None,
            Start::Noise if spread == 1.0 => return None,
            Start::Noise => (Mix { u: spread, ..Mix::ZERO }, NoiseAddress::default()),
            Start::Image { .. } => (
                Mix { u: first.alpha, z: first.sigma, ..Mix::ZERO },
                NoiseAddress { draw: Some(0), index: self.shared_start() },
            ),
        };
        let label = Label { noise_level: first.noise_level(), ..silent().label };
        Some(Row { u, noise, label, t: first.t, ..silent() })
    }
}

/// If the first row has draw 0, gives the rows after it the draws they would have
/// without it, so that a sample with shared noise equals that of the shared index.
fn keep_draws(rows: &mut [Row]) {
    let [first, rest @ ..] = rows else { return };
    if first.noise.draw != Some(0) {
        return;
    }
    for (row, draw) in rest.iter_mut().zip(1..) {
        if row.adds_noise() && row.noise.draw.is_none() {
            row.noise.draw = Some(draw);
        }
    }
}

/// Returns the number of steps that run at a strength.
fn remaining(strength: f64, num_steps: usize) -> Result<usize, Error> {
    if !(0.0..=1.0).contains(&strength) {
        let reason = format!("must be in [0, 1], got {strength}");
        return Err(Error::Option { option: OptionField::Strength, reason });
    }
    // 0.29 · 100 is a little less than 29.
    Ok((strength * num_steps as f64 + 1e-9).floor() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edm, Prediction, Schedule, Variance};

    fn chain(variance: Variance) -> Parameterisation {
        let schedule = Schedule::linear(1000, 1e-4, 0.02).unwrap();
        Parameterisation::discrete(schedule, Prediction::Eps, variance)
    }

    fn compile(
        network: &Parameterisation,
        sampler: &str,
        grid: &str,
        num_steps: usize,
    ) -> Result<Program, Error> {
        let recipe = Recipe::new(sampler.parse()?, network);
        Recipe { grid: grid.parse()?, num_steps, ..recipe }.compile(network)
    }

    fn refused(sampler: &str, grid: &str, num_steps: usize) -> String {
        compile(&chain(Variance::FixedSmall), sampler, grid, num_steps).unwrap_err().to_string()
    }

    #[test]
    fn a_grid_that_stops_above_0_is_for_samplers_without_noise() {
        let stops = "sigmas:80-5-1-0.5";
        for sampler in [
            "ddpm",
            "ddim:eta=1",
            "euler-ancestral",
            "dpm2-ancestral",
            "sde-dpm++",
            "dpm++2s-ancestral",
            "sa-solver",
            "consistency",
            "lcm",
        ] {
            let error = refused(sampler, stops, 3);
            let name = sampler.split(':').next().unwrap();
            assert!(error.contains(&format!("stops at sigma 0.5, where {name}")), "{error}");
            assert!(error.contains("end the list with 0"), "{error}");
        }
        let network = chain(Variance::FixedSmall);
        for sampler in ["ddim", "heun", "dpm++", "unipc", "sa-solver:tau=0", "edm-heun", "lms"] {
            let program = compile(&network, sampler, stops, 3).unwrap();
            let end = network.process.at_rho(0.5).unwrap();
            let level = program.rows().last().unwrap().label.noise_level;
            assert!((level - end.noise_level()).abs() < 1e-12, "{sampler}");
        }
        let inpaint = Some(Inpaint::ReplaceXt { resampling: 1, jump_length: 1 });
        let recipe = Recipe::new("ddim".parse().unwrap(), &network);
        let recipe = Recipe { grid: stops.parse().unwrap(), num_steps: 3, inpaint, ..recipe };
        let error = recipe.compile(&network).unwrap_err().to_string();
        assert!(error.contains("replace_x_t would") && error.contains("or replace x_0"), "{error}");
    }

    #[test]
    fn solvers_that_divide_by_their_steps_refuse_a_point_twice_and_others_pass_it() {
        let twice = "ddpm-torch-quadratic";
        let dividers = ["dpm++", "dpm++-3-corrected", "sde-dpm++", "unipc", "sa-solver"];
        for sampler in dividers.into_iter().chain(["deis", "lms"]) {
            let error = refused(sampler, twice, 50);
            let (visits, divides) =
                (format!("{twice} visits timestep"), format!("{sampler} divides"));
            assert!(error.contains(&visits) && error.contains(&divides), "{error}");
        }
        for variance in [Variance::FixedSmall, Variance::Learned, Variance::LearnedRange] {
            let network = chain(variance);
            let program = compile(&network, "ddpm", twice, 50).unwrap();
            // The step from timestep 0 to itself, and the one to the data.
            let silent = program.rows().iter().filter(|row| row.u.z == 0.0);
            assert_eq!(silent.map(|row| row.t).collect::<Vec<_>>(), [0.0, 0.0], "{variance}");
        }
        let network = chain(Variance::FixedSmall);
        let others =
            ["ddim:eta=1", "euler", "euler-ancestral", "heun", "edm-heun", "ipndm", "pndm"];
        for sampler in others.into_iter().chain(["dpm++:order=1", "deis:order=1", "consistency"]) {
            assert!(compile(&network, sampler, twice, 50).is_ok(), "{sampler}");
        }
    }

    #[test]
    fn more_steps_than_rows_are_refused_before_a_row_is_built() {
        let many = 2_000_000;
        let list: Vec<String> = (0..many).map(|k| (many - k).to_string()).collect();
        let network = Parameterisation::edm(Edm::PAPER);
        for (sampler, grid) in [
            ("heun", format!("timesteps:{}", list.join("-"))),
            ("ddim", format!("sigmas:{}-0", list.join("-"))),
            ("heun", "karras".into()),
            ("ddim", "flow".into()),
            ("ddim", format!("sections:{}-1", usize::MAX)),
            ("ddim", format!("ddim:{many}")),
        ] {
            let steps = grid.parse::<GridSpec>().unwrap().fixed_steps().unwrap_or(many);
            let error = compile(&network, sampler, &grid, steps).unwrap_err().to_string();
            assert!(error.contains("at most 100000") && error.len() < 200, "{error}");
        }
        let error = compile(&network, "heun", "karras", 60_000).unwrap_err().to_string();
        assert!(error.contains("makes 119999 rows of heun"), "{error}");
        assert!(compile(&network, "euler", "karras", 60_000).is_ok());
    }

    #[test]
    fn strength_counts_the_points_of_a_grid_that_has_more_than_its_steps() {
        let network = chain(Variance::FixedSmall);
        let grid: GridSpec = "ddpm-torch-linear".parse().unwrap();
        let points = grid.grid(&network.process, 30).unwrap();
        assert_eq!(points.points().len(), 31);
        let recipe = Recipe::new("ddim".parse().unwrap(), &network);
        let start = Start::Image { strength: 1.0 };
        let program = Recipe { grid, num_steps: 30, start, ..recipe }.compile(&network).unwrap();
        assert_eq!((program.evals(), program.rows()[0].t), (31, points.points()[0].t));
    }
}
