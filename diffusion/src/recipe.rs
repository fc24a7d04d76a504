//! Everything that decides a run, compiled to a program.

use crate::{
    Clip, Error, Evals, Grid, GridSpec, Guidance, Inpaint, Label, Mix, Network, NoiseAddress,
    Point, Process, Program, Row, Sampler,
    inpaint::inpaint,
    samplers::{Denoiser, Step},
};

/// How samples come to be, from the first row to the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Which sampler.
    pub sampler: Sampler,
    /// Which points of the process it visits.
    pub grid: GridSpec,
    /// How many.
    pub num_steps: usize,
    /// What keeps predictions of x_0 in range.
    pub clip: Clip,
    /// Classifier-free guidance, if any.
    pub guidance: Option<Guidance>,
    /// What a sample starts from.
    pub start: Start,
    /// Whose noise it is.
    pub shared_noise: Option<SharedNoise>,
    /// What is known of the image beforehand, if anything.
    pub inpaint: Option<Inpaint>,
}

/// What a sample starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Noise: draw 0.
    Noise,
    /// A given state at the first point, in the coordinates of the process: x_T
    /// for a sampler, the image for [`Sampler::DdimInverse`].
    State,
    /// A given image, noised to where so many of the steps remain: SDEdit (Meng et
    /// al. 2021).
    Image {
        /// Share of the steps that are run, in [0, 1]: of S steps, ⌊strength · S⌋. 0
        /// returns the image, 1 starts as noisy as from noise.
        strength: f64,
    },
}

/// Noise that samples of different indices have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedNoise {
    /// The index whose noise it is.
    pub index: u64,
    /// Whether x_T, or the noise on a given image, is shared.
    pub start: bool,
    /// Whether the noise of the steps is shared.
    pub steps: bool,
}

impl Recipe {
    /// A sampler with the defaults for a network: its grid and steps, no clip, no
    /// guidance, from noise.
    #[must_use]
    pub fn new(sampler: Sampler, network: &Network) -> Self {
        let grid = match sampler {
            Sampler::FlowEuler => GridSpec::Flow { shift: 1.0 },
            _ => GridSpec::default_of(&network.process),
        };
        Self {
            sampler,
            grid,
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
    /// range, [`Error::Sampler`] if parts do not suit each other or the network.
    pub fn compile(&self, network: &Network) -> Result<Program, Error> {
        let guidance = self.guidance.map(Guidance::check).transpose()?;
        let grid = self.grid.grid(&network.process, self.num_steps)?;
        let denoiser = Denoiser { network, clip: self.clip, guidance };
        if self.sampler == Sampler::DdimInverse {
            return self.encode(&denoiser, &grid);
        }
        let grid = match self.start {
            Start::Image { strength } => match remaining(strength, self.num_steps)? {
                0 => return Program::new(number(vec![untouched()])),
                steps => grid.last(steps),
            },
            Start::Noise | Start::State => grid,
        };
        let mut steps = self.sampler.steps(&denoiser, &grid)?;
        if let Some(known) = &self.inpaint {
            inpaint(known, self.sampler, &mut steps)?;
        }
        self.share(&mut steps);
        let prologue = self.prologue(&network.process, &grid.points()[0]);
        steps[0].rows.splice(0..0, prologue);
        let mut rows = number(fused(steps));
        self.share_start(&mut rows);
        keep_draws(&mut rows);
        Program::new(rows)
    }

    fn encode(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Program, Error> {
        if self.start != Start::State || self.inpaint.is_some() {
            let reason = "ddim-inverse encodes a given image: give one, without strength or mask";
            return Err(Error::Sampler(reason.into()));
        }
        if self.num_steps < 2 {
            return Err(Error::Grid("ddim-inverse needs at least 2 points".into()));
        }
        Program::new(number(self.sampler.steps(denoiser, grid)?))
    }

    /// Gives the rows the index whose noise they share.
    fn share(&self, steps: &mut [Step]) {
        let Some(SharedNoise { index, steps: true, .. }) = self.shared_noise else { return };
        let rows = steps.iter_mut().flat_map(|step| &mut step.rows);
        rows.for_each(|row| row.noise.index = Some(index));
    }

    /// The row that makes x_T that of the index whose noise is shared. The rows
    /// behind it are those without it.
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

    /// The row before the first step, where the state that a sample is given is
    /// not yet the one at the first point.
    fn prologue(&self, process: &Process, first: &Point) -> Option<Row> {
        // A process that preserves variance starts from noise of variance 1.
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
        Some(Row { u, noise, t: first.t, ..silent() })
    }
}

/// Rows behind one that has draw 0 draw what they would without it, so that a
/// sample whose noise is shared is that of the index it shares.
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

/// How many of `num_steps` are run at a strength.
fn remaining(strength: f64, num_steps: usize) -> Result<usize, Error> {
    if !(0.0..=1.0).contains(&strength) {
        let reason = format!("must be in [0, 1], got {strength}");
        return Err(Error::Option { option: "strength", reason });
    }
    // 0.29 · 100 is a little less than 29.
    Ok((strength * num_steps as f64 + 1e-9).floor() as usize)
}

/// One step that changes nothing.
fn untouched() -> Step {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    Step { from: Point::DATA, to: Point::DATA, rows: vec![row] }
}

/// Makes a row that only adds noise part of the row before it, where that one
/// adds none: a tick less.
fn fused(steps: Vec<Step>) -> Vec<Step> {
    let mut done: Vec<Step> = Vec::with_capacity(steps.len());
    for mut step in steps {
        if let (Some(before), Some(first)) = (done.last_mut(), step.rows.first())
            && let Some(row) = before.rows.last_mut()
            && step.rows.len() > 1
            && fuse(row, first)
        {
            step.rows.remove(0);
        }
        step.rows = step.rows.into_iter().fold(Vec::new(), |mut rows, row| {
            if !rows.last_mut().is_some_and(|last| fuse(last, &row)) {
                rows.push(row);
            }
            rows
        });
        done.push(step);
    }
    done
}

/// Whether `next` was made part of `row`.
fn fuse(row: &mut Row, next: &Row) -> bool {
    let only_noise = Row { u: next.u, noise: next.noise, label: next.label, t: next.t, ..silent() };
    let Mix { u: scale, z, .. } = next.u;
    let simple = *next == only_noise && next.u == Mix { u: scale, z, ..Mix::ZERO } && z != 0.0;
    if !simple || row.adds_noise() || row.mask == crate::Mask::ReplaceXt {
        return false;
    }
    row.u = row.u.scaled(scale);
    row.u.z = z;
    row.noise = next.noise;
    true
}

fn silent() -> Row {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row
}

/// Numbers the steps; the last row of each ends it.
fn number(steps: Vec<Step>) -> Vec<Row> {
    let num_steps = steps.len() as u32;
    let mut all = Vec::new();
    for (mut step, number) in steps.into_iter().zip(1..) {
        let last = step.rows.len() - 1;
        for (k, row) in step.rows.iter_mut().enumerate() {
            row.label.step = number;
            row.label.num_steps = num_steps;
            row.label.ends_step = k == last;
            row.label.noise_level = step.to.noise_level();
        }
        all.append(&mut step.rows);
    }
    all
}
