//! A checked list of rows: a sampler compiled for one schedule and time grid.

use crate::{Error, Row};

mod numbers;

mod rules;

mod digest;

/// A program that is ready to run. It obeys these rules:
///
/// * 1 to [`Program::MAX_ROWS`] rows, all numbers finite and at most 1e6 in size
///   (the scale of x_0 for eps at the last timestep of a cosine schedule is 2e4);
/// * the last row adds no noise and ends a step;
/// * steps count up from 1 to the number of steps;
/// * a row without an eval does not read F;
/// * clip, guidance and noise parameters are in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    rows: Vec<Row>,
    evals: u64,
    uses_history: bool,
    uses_anchor: bool,
    reads_known: bool,
}

impl Program {
    /// Most rows of a program.
    pub const MAX_ROWS: usize = 100_000;

    /// Largest size of a number in a row.
    pub const MAX_SIZE: f64 = 1e6;

    /// Most faults that are listed one by one.
    pub const MAX_FAULTS: usize = 20;

    /// Checks rows and turns them into a program.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] or [`Error::Row`] for the first broken rule;
    /// [`Program::checked`] reports more.
    pub fn new(rows: Vec<Row>) -> Result<Self, Error> {
        Self::checked(rows).map_err(|mut faults| faults.swap_remove(0))
    }

    /// Checks rows as [`Program::new`] does, but reports more than the first fault.
    ///
    /// # Errors
    ///
    /// The broken rules, in the order of the rows: the first [`Program::MAX_FAULTS`],
    /// and an [`Error::Program`] that counts the others.
    pub fn checked(rows: Vec<Row>) -> Result<Self, Vec<Error>> {
        let faults = rules::broken(&rows);
        if !faults.is_empty() {
            return Err(faults);
        }
        let reads = |pick: fn(&Row) -> bool| rows.iter().any(pick);
        Ok(Self {
            evals: rows.iter().map(|row| row.evals.count() as u64).sum(),
            uses_history: reads(|row| row.push.is_some() || row.reads_history()),
            uses_anchor: reads(|row| row.u.y != 0.0),
            reads_known: reads(Row::reads_known),
            rows,
        })
    }

    /// Returns the rows, in the order in which they are applied.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the network evaluations per sample (NFE).
    #[must_use]
    pub fn evals(&self) -> u64 {
        self.evals
    }

    /// Returns the number of displayed steps.
    #[must_use]
    pub fn num_steps(&self) -> u32 {
        self.rows.last().map_or(0, |row| row.label.num_steps)
    }

    /// Returns whether any row pushes to the history or reads it: before the first push,
    /// it is 0.
    pub(crate) fn uses_history(&self) -> bool {
        self.uses_history
    }

    /// Returns whether the anchor y ever becomes part of a point. One that feeds only
    /// itself need not be kept.
    #[must_use]
    pub fn uses_anchor(&self) -> bool {
        self.uses_anchor
    }

    /// Returns whether a row reads the known image, so that one is required.
    #[must_use]
    pub fn reads_known(&self) -> bool {
        self.reads_known
    }

    /// Returns the SHA-256 of every number that determines the samples, as 64 hex
    /// digits. Labels do not count, so programs that differ only in what they show have
    /// the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        digest::of(&self.rows)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Clip, Evals, Kernel, Known, Mask, Mix, Noise, NoiseAddress, Push, RawVariance, Real, State,
        X0Rule,
    };

    fn row(step: u32, num_steps: u32) -> Row {
        let mut row = Row::at(5.0);
        row.label.step = step;
        row.label.num_steps = num_steps;
        row
    }

    #[test]
    fn evals_are_the_sum_over_rows() {
        let mut guided = row(1, 2);
        guided.evals = Evals::Guided { scale: 2.0 };
        let mut silent = row(2, 2);
        silent.evals = Evals::Zero;
        assert_eq!(Program::new(vec![guided, silent]).unwrap().evals(), 2);
    }

    #[test]
    fn a_history_that_nothing_was_pushed_to_is_0() {
        let mut reads = row(1, 1);
        reads.evals = Evals::Zero;
        reads.u = Mix { u: 1.0, h: [2.0, 3.0, 4.0], ..Mix::ZERO };
        let program = Program::new(vec![reads]).unwrap();
        let mut state = State::from_point(&program, vec![7.0f32, -1.0]);
        let noise = Noise::new(1);
        Kernel::new(2).advance(&program.rows()[0], 0, &mut state, &[], &noise, 0, None);
        assert_eq!(state.u(), [7.0, -1.0]);
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![4 => Just(0.0), 2 => -2.0..2.0f64, 1 => Just(1e6), 1 => Just(-1e6)]
    }

    prop_compose! {
        fn mix()(
            [u, y, x_0, f, z, known] in [(); 6].map(|()| number()),
            h in [(); 3].map(|()| number()),
        ) -> Mix {
            Mix { u, y, x_0, f, h, z, known }
        }
    }

    prop_compose! {
        fn any_row()(
            evals in prop_oneof![
                Just(Evals::Zero),
                Just(Evals::One),
                Just(Evals::Unconditional),
                number().prop_map(|scale| Evals::Guided { scale }),
            ],
            clip in prop_oneof![
                Just(Clip::None),
                Just(Clip::Unit),
                Just(Clip::Dynamic { quantile: 0.9, max: 3.0 }),
            ],
            variance in prop_oneof![
                Just(RawVariance::None),
                Just(RawVariance::LogVariance),
                Just(RawVariance::Range { ln_min: -9.0, ln_max: 1.0 }),
            ],
            mask in prop_oneof![Just(Mask::None), Just(Mask::ReplaceX0), Just(Mask::ReplaceXt)],
            push in prop::option::of([(); 3].map(|()| number())),
            (p_u, p_f) in (number(), number()),
            (y, u) in (mix(), mix()),
            draw in prop::option::of(0..5u32),
        ) -> Row {
            let push = push.map(|[u, x_0, f]| Push { u, x_0, f });
            let noise = NoiseAddress { draw, index: None };
            let x_0 = X0Rule { p_u, p_f, clip };
            let row = Row { evals, x_0, y, u, push, variance, mask, noise, ..Row::at(5.0) };
            if evals == Evals::Zero { without_output(row) } else { row }
        }
    }

    fn without_output(mut row: Row) -> Row {
        (row.x_0.p_f, row.u.f, row.y.f) = (0.0, 0.0, 0.0);
        row.push = row.push.map(|push| Push { f: 0.0, ..push });
        Row { variance: RawVariance::None, ..row }
    }

    /// Runs a program on two elements; the network returns large numbers.
    fn apply<F: Real>(program: &Program) {
        let numbers = |value: f64, count: usize| vec![F::from_f64(value); count];
        let mut state = State::from_point(program, numbers(3.0, 2));
        let mut kernel = Kernel::new(2);
        let (image, mask) = (numbers(0.5, 2), [F::ONE, F::from_f64(0.25)]);
        let known = program.reads_known().then_some(Known { image: &image, mask: &mask });
        let output = numbers(1e3, 4);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = vec![&output[..]; row.evals.count()];
            kernel.advance(row, position, &mut state, &outputs, &Noise::new(1), 0, known);
        }
        assert_eq!(state.u().len(), 2);
    }

    proptest! {
        #[test]
        fn every_program_that_is_accepted_runs(rows in prop::collection::vec(any_row(), 1..12)) {
            let num_steps = rows.len() as u32;
            let labelled = |(mut row, step): (Row, u32)| {
                (row.label.step, row.label.num_steps) = (step, num_steps);
                row.u.z *= f64::from(step != num_steps);
                row
            };
            let rows = rows.into_iter().zip(1..).map(labelled).collect();
            let program = Program::new(rows).unwrap();
            apply::<f32>(&program);
            apply::<f64>(&program);
        }
    }
}
