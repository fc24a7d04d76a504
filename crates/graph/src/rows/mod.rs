//! The row kernel as a graph, so that samples stay where the network runs.
//!
//! A call advances some samples by one row each. Their state lies in **arenas** `[slots, len]`, one
//! for each of u, y, H1, H2 and H3, and for the known image and its mask. Graphs do the work around
//! the network; all of them run in ONNX Runtime, on whatever device it has:
//!
//! * [`starts`]: puts first states into the arenas;
//! * [`inputs`]: gathers points from the arena of u and scales them: the network's `sample`;
//! * [`rows`](rows()): x_0, the next point, the next anchor and the history of every row, written
//!   back into the arenas in place;
//! * [`shown`]: gathers and scales what somebody looks at;
//! * [`copied`]: moves an arena to a larger one.
//!
//! What the rows say (coefficients, clip rules, masks, guidance) is data: a `table` of numbers,
//! one line per row, so rows of any samplers share a call. [`Needs`] tells which parts of the graph
//! a call can do without.
//!
//! The graph computes what [`Kernel`](ddpm_diffusion::Kernel) does, in the same order of f32
//! operations. A term whose coefficient is 0 is −0, which changes no sum. So the numbers are those
//! of the kernel, bit by bit, but for two things:
//!
//! * a learned variance takes e to a power, whose last bits depend on the library;
//! * a zero may have the other sign: ONNX Runtime's `Where` makes 0 of −0 on the CPU.

mod table;

mod spelling;

use ddpm_diffusion::{Clip, Evals, Mask, Mix, Row};

pub use spelling::{copied, inputs, names, rows, shown, starts};
pub use table::{Quantile, WIDTH, quantile, write};

/// What a call needs besides u, x_0 and F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Needs {
    /// Noise.
    pub noise: bool,
    /// The anchor and the history.
    pub memory: bool,
    /// Two evals of one row.
    pub guidance: bool,
    /// The known image.
    pub known: bool,
    /// Dynamic thresholding.
    pub threshold: bool,
}

impl Needs {
    /// What graphs are written for: few, because each takes time to load. Most calls of solvers
    /// need the first or the second; the last has everything.
    pub const KINDS: [Self; 3] = [
        Self { noise: true, memory: false, guidance: true, known: false, threshold: false },
        Self { noise: true, memory: true, guidance: true, known: false, threshold: false },
        Self { noise: true, memory: true, guidance: true, known: true, threshold: true },
    ];

    /// Returns the position of the least of [`Needs::KINDS`] that does.
    #[must_use]
    pub fn kind(self) -> usize {
        let suffices = |kind: &Self| kind.union(self) == *kind;
        Self::KINDS.iter().position(suffices).expect("the last kind has everything")
    }

    /// Returns what a row needs.
    ///
    /// * `uses_anchor`: whether its program keeps an anchor.
    #[must_use]
    pub fn of(row: &Row, uses_anchor: bool) -> Self {
        let anchored = uses_anchor && (row.u.y != 0.0 || !keeps_anchor(row));
        Self {
            noise: row.adds_noise(),
            memory: row.push.is_some() || row.reads_history() || anchored,
            guidance: matches!(row.evals, Evals::Guided { .. }),
            known: row.reads_known(),
            threshold: matches!(row.x_0.clip, Clip::Dynamic { .. }),
        }
    }

    /// Returns what two rows need together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            noise: self.noise || other.noise,
            memory: self.memory || other.memory,
            guidance: self.guidance || other.guidance,
            known: self.known || other.known,
            threshold: self.threshold || other.threshold,
        }
    }
}

/// Returns whether the anchor stays as it is.
fn keeps_anchor(row: &Row) -> bool {
    row.y == Mix { y: 1.0, ..Mix::ZERO }
}

/// Returns whether the known image replaces x_0.
fn replaces_x_0(row: &Row) -> bool {
    row.mask == Mask::ReplaceX0
}

/// Returns whether the known image replaces the point.
fn replaces_x_t(row: &Row) -> bool {
    row.mask == Mask::ReplaceXt
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::Push;

    use super::*;

    #[test]
    fn a_plain_row_needs_nothing_and_every_part_is_needed_by_the_row_that_uses_it() {
        let plain = Row::at(1.0);
        assert_eq!(Needs::of(&plain, false), Needs::default());
        assert_eq!(Needs::of(&plain, true), Needs::default(), "the anchor is kept as it is");

        let with = |change: fn(&mut Row)| {
            let mut row = plain.clone();
            change(&mut row);
            row
        };
        let anchored = with(|row| row.u.y = 0.5);
        assert!(Needs::of(&anchored, true).memory && !Needs::of(&anchored, false).memory);
        let moved = with(|row| row.y = Mix { u: 1.0, ..Mix::ZERO });
        assert!(Needs::of(&moved, true).memory && !Needs::of(&moved, false).memory);
        assert!(Needs::of(&with(|row| row.push = Some(Push::default())), false).memory);
        assert!(Needs::of(&with(|row| row.u.h[2] = 1.0), false).memory);
        assert!(Needs::of(&with(|row| row.u.z = 1.0), false).noise);
        assert!(Needs::of(&with(|row| row.evals = Evals::Guided { scale: 2.0 }), false).guidance);
        assert!(Needs::of(&with(|row| row.mask = Mask::ReplaceXt), false).known);
        let dynamic = with(|row| row.x_0.clip = Clip::Dynamic { quantile: 0.9, max: 2.0 });
        assert!(Needs::of(&dynamic, false).threshold);

        let noise = Needs { noise: true, ..Needs::default() };
        let known = Needs { known: true, ..Needs::default() };
        assert_eq!([noise, Needs::of(&moved, true), known].map(Needs::kind), [0, 1, 2]);
        assert_eq!(noise.union(known), Needs { noise: true, known: true, ..Needs::default() });
    }

    #[test]
    fn the_quantile_lies_between_the_elements_around_it() {
        let at = |share| {
            let mut row = Row::at(0.0);
            row.x_0.clip = Clip::Dynamic { quantile: share, max: 3.0 };
            quantile(&row, 5)
        };
        assert_eq!(at(0.75), Quantile { positions: [3, 4], fraction_and_max: [0.0, 3.0] });
        assert_eq!(at(0.9).positions, [3, 4]);
        assert!((at(0.9).fraction_and_max[0] - 0.6).abs() < 1e-12);
        assert_eq!(at(1.0), Quantile { positions: [4, 4], fraction_and_max: [0.0, 3.0] });
    }
}
