//! Which points of the forward process a run visits.

use crate::{Error, Point};

mod spec;
pub use spec::GridSpec;

mod text;

mod timesteps;

/// The points of a run, noisiest first, and where its last interval ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    points: Vec<Point>,
    end: Point,
}

impl Grid {
    /// Returns the points where steps begin, noisiest first.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Returns the point where the last step ends: the data, unless the grid stops short.
    #[must_use]
    pub fn end(&self) -> Point {
        self.end
    }

    /// Iterates over the intervals, noisiest first.
    pub fn intervals(&self) -> impl Iterator<Item = (Point, Point)> + '_ {
        let ends = self.points.iter().skip(1).chain([&self.end]);
        self.points.iter().copied().zip(ends.copied())
    }

    /// Splits off the interval that begins at pure noise (α = 0), if one does, and
    /// returns it with the remaining grid. ρ and λ are infinite at pure noise, so a
    /// solver that steps in them takes that interval in closed form, and its history
    /// begins after it.
    pub(crate) fn leave_pure_noise(&self) -> (Option<(Point, Point)>, Self) {
        let first = self.intervals().next().filter(|(from, _)| from.is_pure_noise());
        (first, self.last(self.points.len() - usize::from(first.is_some())))
    }

    /// Returns the last `num_steps` intervals.
    #[must_use]
    pub(crate) fn last(&self, num_steps: usize) -> Self {
        let first = self.points.len().saturating_sub(num_steps);
        Self { points: self.points[first..].to_vec(), end: self.end }
    }

    fn decreasing(self) -> Result<Self, Error> {
        if self.points.is_empty() {
            return Err(Error::points("needs at least one point"));
        }
        let rising = self.intervals().find(|(from, to)| to.noise_level() >= from.noise_level());
        match rising {
            None => Ok(self),
            Some((from, to)) => Err(Error::points(format!(
                "the noise must decrease from point to point, but sigma {} follows {}",
                to.rho(),
                from.rho()
            ))),
        }
    }
}
