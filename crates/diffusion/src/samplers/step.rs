//! What a sampler compiles to before it is a program: rows, grouped by the step
//! of the grid that they make.

use crate::{Error, Grid, Mix, Point, Push, Row};

/// The rows that take a sample from one point of the grid to the next. A row whose
/// label has a noise level arrives there, the others at `to`.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) from: Point,
    pub(crate) to: Point,
    pub(crate) rows: Vec<Row>,
}

/// One row per interval of a grid.
pub(crate) fn one_row_per_step(
    grid: &Grid,
    mut row: impl FnMut(usize, Point, Point) -> Result<Row, Error>,
) -> Result<Vec<Step>, Error> {
    let steps = grid.intervals().enumerate();
    steps.map(|(k, (from, to))| Ok(Step { from, to, rows: vec![row(k, from, to)?] })).collect()
}

/// u' = x_0, how every step to the data ends.
pub(crate) const X_0: Mix = Mix { x_0: 1.0, ..Mix::ZERO };

/// The forward process between two points, from s to the noisier t, and its
/// posterior.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transition {
    /// α_t/α_s: q(x_t given x_s) has the mean `scale` x_s.
    pub(crate) scale: f64,
    /// Its variance; β_t between neighbours of a discrete process.
    pub(crate) variance: f64,
    from: Point,
    to: Point,
}

impl Transition {
    /// * `from`: the noisier point t; `to`: s.
    /// * `beta`: the variance, where a table has it exactly.
    pub(crate) fn new(from: Point, to: Point, beta: Option<f64>) -> Self {
        let scale = from.alpha / to.alpha;
        let variance = || from.sigma * from.sigma - (scale * to.sigma).powi(2);
        Self { scale, variance: beta.unwrap_or_else(variance).max(0.0), from, to }
    }

    /// β̃, the variance of q(x_s given x_t, x_0).
    pub(crate) fn posterior_variance(&self) -> f64 {
        self.variance * (self.to.sigma / self.from.sigma).powi(2)
    }

    /// The mean of q(x_s given x_t, x_0): Ho et al. 2020, equation 7, for any
    /// process and any two points.
    pub(crate) fn posterior_mean(&self) -> Mix {
        if self.to.is_data() {
            return X_0;
        }
        let rest = self.from.sigma * self.from.sigma;
        Mix {
            u: self.scale * self.to.sigma * self.to.sigma / rest,
            x_0: self.to.alpha * self.variance / rest,
            ..Mix::ZERO
        }
    }
}

/// The push of ε̂ = (u − α x_0)/σ.
pub(crate) fn push_eps(at: &Point) -> Push {
    Push { u: 1.0 / at.sigma, x_0: -at.alpha / at.sigma, f: 0.0 }
}

/// u' = (α'/α) u + α' (weights · [ε̂, H1, H2, H3]), the form of every linear
/// multistep solver in ρ.
pub(crate) fn along_eps(from: &Point, to: &Point, weights: [f64; 4]) -> Mix {
    let [now, h @ ..] = weights.map(|weight| weight * to.alpha);
    Mix {
        u: to.alpha / from.alpha + now / from.sigma,
        x_0: -now * from.alpha / from.sigma,
        h,
        ..Mix::ZERO
    }
}
