//! What a sampler is: facts, options and steps, in one trait.

use super::{Denoiser, SamplerOption, Step};
use crate::{Error, Grid, GridSpec};

/// A sampler: a struct of its options, in the file that has its mathematics.
///
/// Everything else (text, range checks, the contract's messages, the documentation's table) reads
/// the items here. Its default options are the struct's constant `DEFAULT`, and its line in
/// [`Sampler`](super::Sampler) makes it known.
pub(crate) trait Method {
    /// What others must know about it.
    fn facts(&self) -> Facts;

    /// Its options, in the order in which text shows them.
    fn options(&mut self) -> Vec<SamplerOption<'_>>;

    /// The steps of a run on `grid`: for each interval the rows that cross it. The options are in
    /// range.
    ///
    /// # Errors
    ///
    /// If grid, options and network do not suit each other.
    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error>;
}

/// What others must know about a sampler. Tests compare all of it with the rows that the sampler
/// compiles to, so a wrong fact fails a test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// Its name in text.
    pub(crate) name: &'static str,
    /// Its field of `Sampler.kind` in the contract.
    pub(crate) field: &'static str,
    /// Steps of a run that names none.
    pub(crate) default_steps: DefaultSteps,
    /// The grid of a run that names none; absent: the model's.
    pub(crate) grid: Option<GridSpec>,
    /// The fewest rows of a step, except the last one.
    pub(crate) rows_per_step: usize,
    /// Whether a step reads what earlier steps left, so that it cannot run again after a jump back.
    pub(crate) multistep: bool,
    /// Whether it divides by the length of its steps, so that none may be 0.
    pub(crate) divides_by_steps: bool,
    /// Whether it goes from data to noise.
    pub(crate) encodes: bool,
    /// Whether it can use a network that predicts the mean of the posterior.
    pub(crate) takes_mean: bool,
}

impl Facts {
    /// A sampler whose steps have one row each and know nothing of earlier steps.
    pub(crate) fn one_row(name: &'static str, field: &'static str) -> Self {
        Self {
            name,
            field,
            default_steps: DefaultSteps::AtMost(50),
            grid: None,
            rows_per_step: 1,
            multistep: false,
            divides_by_steps: false,
            encodes: false,
            takes_mean: false,
        }
    }

    /// A sampler whose steps have a row to a trial point and a row that uses it, and know nothing
    /// of earlier steps.
    pub(crate) fn two_rows(name: &'static str, field: &'static str) -> Self {
        Self { rows_per_step: 2, ..Self::one_row(name, field) }
    }

    /// A sampler whose steps have one row each and read what earlier steps left.
    pub(crate) fn multistep(name: &'static str, field: &'static str) -> Self {
        Self { multistep: true, ..Self::one_row(name, field) }
    }
}

/// Steps of a run that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultSteps {
    /// Every timestep.
    WholeChain,
    /// This many, or every timestep if there are fewer.
    AtMost(usize),
}
