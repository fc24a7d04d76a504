//! The row that asks the network for x_0 at a point.

use crate::{Clip, Error, Evals, Guidance, Parameterisation, Point, Row};

/// How x_0 is predicted, everywhere in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denoiser<'a> {
    pub(crate) network: &'a Parameterisation,
    pub(crate) clip: Clip,
    pub(crate) guidance: Option<Guidance>,
}

impl Denoiser<'_> {
    /// A row with one prediction of x_0 at `point`, which does nothing with it yet.
    pub(crate) fn row(&self, point: &Point) -> Result<Row, Error> {
        let (evaluation, x_0) = self.network.x_0_rule(point, self.clip)?;
        let mut row = Row::at(evaluation.t);
        row.c_in = evaluation.c_in;
        row.x_0 = x_0;
        row.evals = self.guidance.map_or(Evals::One, |guidance| guidance.evals(point));
        Ok(row)
    }
}
