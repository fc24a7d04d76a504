//! Which timesteps a run of `num_steps` visits.

use serde::{Deserialize, Serialize};

use crate::{Error, schedule::linspace};

/// A rule that turns a number of steps into a [`Grid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GridKind {
    /// [`Grid::leading`].
    Leading,
    /// [`Grid::trailing`].
    Trailing,
    /// [`Grid::linspace`].
    Linspace,
    /// [`Grid::quadratic`].
    Quadratic,
}

impl GridKind {
    /// All of them, under the names that people type.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("leading", Self::Leading),
        ("trailing", Self::Trailing),
        ("linspace", Self::Linspace),
        ("quadratic", Self::Quadratic),
    ];

    /// The name that people type.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The grid of `num_steps` by this rule.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn grid(self, timesteps: usize, num_steps: usize) -> Result<Grid, Error> {
        match self {
            Self::Leading => Grid::leading(timesteps, num_steps),
            Self::Trailing => Grid::trailing(timesteps, num_steps),
            Self::Linspace => Grid::linspace(timesteps, num_steps),
            Self::Quadratic => Grid::quadratic(timesteps, num_steps),
        }
    }
}

/// The timesteps of a run, latest first; the last interval ends at x_0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    timesteps: Vec<usize>,
}

impl Grid {
    /// ⌊T/S⌋ · (0 … S−1); never reaches T−1 unless S = T.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn leading(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        Ok(Self::ascending((0..num_steps).map(|k| k * (timesteps / num_steps))))
    }

    /// round(T − kT/S) − 1; always starts at T−1.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn trailing(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        let width = timesteps as f64 / num_steps as f64;
        let at = |k: usize| (timesteps as f64 - k as f64 * width).round_ties_even() as usize - 1;
        Ok(Self { timesteps: (0..num_steps).map(at).collect() })
    }

    /// S points spread evenly from 0 to T−1, rounded; T−1 alone if S = 1.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn linspace(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        let last = (timesteps - 1) as f64;
        let points = if num_steps == 1 { vec![last] } else { linspace(0.0, last, num_steps) };
        Ok(Self::ascending(points.into_iter().map(|t| t.round_ties_even() as usize)))
    }

    /// Squares of S points spread evenly up to √(0.8 T), rounded, where a
    /// timestep that rounding repeats moves up to the next free one.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    ///
    /// # Source
    ///
    /// Song et al. 2020, appendix D.2, used there for CIFAR-10.
    pub fn quadratic(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        let mut ascending: Vec<usize> = Vec::with_capacity(num_steps);
        for t in squares(timesteps, num_steps) {
            let free = ascending.last().map_or(0, |previous| previous + 1);
            ascending.push(t.max(free));
        }
        // With S near T the moved ones may run past the end: push them back down.
        for (k, t) in ascending.iter_mut().enumerate() {
            *t = (*t).min(timesteps - (num_steps - k));
        }
        Ok(Self::ascending(ascending))
    }

    /// All T timesteps.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `timesteps` is 0.
    pub fn full(timesteps: usize) -> Result<Self, Error> {
        Self::leading(timesteps, timesteps)
    }

    /// Exactly these timesteps.
    ///
    /// * `latest_first`: strictly decreasing, all below `timesteps`.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if it is empty, not decreasing, or leaves the schedule.
    pub fn explicit(timesteps: usize, latest_first: Vec<usize>) -> Result<Self, Error> {
        match latest_first.first() {
            None => return Err(Error::Grid("needs at least one timestep".into())),
            Some(t) if *t >= timesteps => {
                return Err(Error::Grid(format!("timestep {t} is not below T = {timesteps}")));
            }
            Some(_) => {}
        }
        if let Some(pair) = latest_first.windows(2).find(|pair| pair[1] >= pair[0]) {
            let (earlier, later) = (pair[0], pair[1]);
            return Err(Error::Grid(format!("must decrease, but {later} follows {earlier}")));
        }
        Ok(Self { timesteps: latest_first })
    }

    /// What ddpm-torch calls `linear`: every ⌊T/S⌋-th timestep below T, which
    /// is more than S of them when S does not divide T.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn ddpm_torch_linear(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        Ok(Self::ascending((0..timesteps).step_by(timesteps / num_steps)))
    }

    /// What ddpm-torch calls `quadratic`: [`Grid::quadratic`] with the repeated
    /// timesteps left in, each a step that goes nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
    pub fn ddpm_torch_quadratic(timesteps: usize, num_steps: usize) -> Result<Self, Error> {
        check(timesteps, num_steps)?;
        Ok(Self::ascending(squares(timesteps, num_steps)))
    }

    /// The timesteps, latest first.
    #[must_use]
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// The intervals (t, s), latest first; s is `None` where the interval ends
    /// at x_0.
    pub fn intervals(&self) -> impl ExactSizeIterator<Item = (usize, Option<usize>)> + '_ {
        let ends = self.timesteps.len();
        (0..ends).map(move |k| (self.timesteps[k], self.timesteps.get(k + 1).copied()))
    }

    fn ascending(
        timesteps: impl IntoIterator<Item = usize, IntoIter: DoubleEndedIterator>,
    ) -> Self {
        Self { timesteps: timesteps.into_iter().rev().collect() }
    }
}

fn check(timesteps: usize, num_steps: usize) -> Result<(), Error> {
    if (1..=timesteps).contains(&num_steps) {
        return Ok(());
    }
    Err(Error::Grid(format!("num_steps must be in 1..={timesteps}, got {num_steps}")))
}

/// round(linspace(0, √(0.8 T), S)²), ascending.
fn squares(timesteps: usize, num_steps: usize) -> Vec<usize> {
    linspace(0.0, (0.8 * timesteps as f64).sqrt(), num_steps)
        .into_iter()
        .map(|root| (root * root).round_ties_even() as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_spacings_start_where_the_field_says() {
        let first = |grid: Result<Grid, Error>| grid.unwrap().timesteps()[0];
        assert_eq!(first(Grid::leading(1000, 50)), 980);
        assert_eq!(first(Grid::trailing(1000, 50)), 999);
        assert_eq!(first(Grid::linspace(1000, 50)), 999);
        assert_eq!(first(Grid::quadratic(1000, 50)), 800);
    }

    #[test]
    fn trailing_ten_of_a_thousand_is_the_published_list() {
        let grid = Grid::trailing(1000, 10).unwrap();
        assert_eq!(grid.timesteps(), [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]);
    }

    #[test]
    fn an_explicit_grid_must_decrease_inside_the_schedule() {
        assert!(Grid::explicit(10, vec![9, 4, 0]).is_ok());
        assert!(Grid::explicit(10, vec![]).is_err());
        assert!(Grid::explicit(10, vec![10]).is_err());
        let error = Grid::explicit(10, vec![5, 5]).unwrap_err();
        assert_eq!(error.to_string(), "time grid: must decrease, but 5 follows 5");
    }

    proptest! {
        #[test]
        fn every_rule_gives_num_steps_decreasing_timesteps(
            timesteps in 2usize..1200,
            fraction in 0.0f64..1.0,
        ) {
            let num_steps = 1 + (fraction * (timesteps - 1) as f64) as usize;
            for (name, kind) in GridKind::NAMES {
                let grid = kind.grid(timesteps, num_steps).unwrap();
                let got = grid.timesteps();
                prop_assert_eq!(got.len(), num_steps, "{}", name);
                prop_assert!(got[0] < timesteps, "{}", name);
                prop_assert!(got.windows(2).all(|pair| pair[1] < pair[0]), "{}: {:?}", name, got);
            }
        }

        #[test]
        fn too_few_or_too_many_steps_are_refused(timesteps in 2usize..50) {
            for (_, kind) in GridKind::NAMES {
                prop_assert!(kind.grid(timesteps, 0).is_err());
                prop_assert!(kind.grid(timesteps, timesteps + 1).is_err());
            }
        }
    }
}
