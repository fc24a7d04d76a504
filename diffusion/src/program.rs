//! A checked list of rows: a sampler compiled for one schedule and time grid.

use sha2::{Digest, Sha256};

use crate::{Clip, Error, Evals, Mask, RawVariance, Row};

/// A program that can be run as it is: every rule below was checked.
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

    /// Most faults that are told one by one.
    pub const MAX_FAULTS: usize = 20;

    /// Checks rows and makes them a program.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] or [`Error::Row`] with the first rule that is broken;
    /// [`Program::checked`] has more of them.
    pub fn new(rows: Vec<Row>) -> Result<Self, Error> {
        Self::checked(rows).map_err(|mut faults| faults.swap_remove(0))
    }

    /// As [`Program::new`], for those who want to hear of more than one fault.
    ///
    /// # Errors
    ///
    /// The rules that the rows break, in their order: the first
    /// [`Program::MAX_FAULTS`], and an [`Error::Program`] that counts the others.
    pub fn checked(rows: Vec<Row>) -> Result<Self, Vec<Error>> {
        let faults = faults(&rows);
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

    /// The rows, in the order in which they are applied.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Network calls that one sample costs (NFE).
    #[must_use]
    pub fn evals(&self) -> u64 {
        self.evals
    }

    /// Steps that a person sees.
    #[must_use]
    pub fn num_steps(&self) -> u32 {
        self.rows.last().map_or(0, |row| row.label.num_steps)
    }

    /// Whether any row pushes to the history, or reads it: before the first push it
    /// is 0.
    pub(crate) fn uses_history(&self) -> bool {
        self.uses_history
    }

    /// Whether the anchor y ever becomes part of a point. One that only becomes part
    /// of itself need not be kept.
    pub(crate) fn uses_anchor(&self) -> bool {
        self.uses_anchor
    }

    /// Whether a row reads the known image, so that there must be one.
    #[must_use]
    pub fn reads_known(&self) -> bool {
        self.reads_known
    }

    /// SHA-256 over every number that decides the samples, as 64 hex digits.
    /// Labels do not count, so programs that differ only in what they show are
    /// the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"ddpm program 2");
        for row in &self.rows {
            hash_row(row, &mut hash);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The rules that rows break; none if they are a program.
fn faults(rows: &[Row]) -> Vec<Error> {
    let Some(last) = rows.last() else {
        return vec![Error::Program("needs at least one row".into())];
    };
    if rows.len() > Program::MAX_ROWS {
        let (max, got) = (Program::MAX_ROWS, rows.len());
        return vec![Error::Program(format!("at most {max} rows, got {got}"))];
    }
    let mut faults = Faults::default();
    let mut step = 1;
    for (position, row) in rows.iter().enumerate() {
        faults.row = position;
        check_row(row, &mut faults);
        check_label(row, step, last.label.num_steps, &mut faults);
        step += u32::from(row.label.ends_step);
    }
    if last.u.z != 0.0 {
        faults.add("u.z", || "the last row must not add noise".into());
    }
    if !last.label.ends_step || last.label.step != last.label.num_steps {
        faults.add("label", || "the last row must end the last step".into());
    }
    faults.listed()
}

/// The rules broken so far: the first of them, and how many more.
#[derive(Default)]
struct Faults {
    row: usize,
    found: Vec<Error>,
    more: u64,
}

impl Faults {
    fn add(&mut self, field: &'static str, reason: impl FnOnce() -> String) {
        if self.found.len() == Program::MAX_FAULTS {
            self.more += 1;
            return;
        }
        self.found.push(Error::Row { row: self.row, field, reason: reason() });
    }

    fn range(&mut self, field: &'static str, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.add(field, || format!("must be in [{low}, {high}], got {value}"));
        }
    }

    fn listed(mut self) -> Vec<Error> {
        if self.more > 0 {
            self.found.push(Error::Program(format!("has {} more faults", self.more)));
        }
        self.found
    }
}

fn check_label(row: &Row, step: u32, num_steps: u32, faults: &mut Faults) {
    let label = row.label;
    if label.num_steps != num_steps {
        let got = label.num_steps;
        faults.add("label.num_steps", || {
            format!("must be {num_steps} as in the last row, got {got}")
        });
    }
    if label.step != step {
        faults.add("label.step", || format!("belongs to step {}, expected {step}", label.step));
    }
    faults.range("label.noise_level", label.noise_level, 0.0, 1.0);
}

fn check_row(row: &Row, faults: &mut Faults) {
    for (field, number) in numbers(row) {
        if !number.is_finite() || number.abs() > Program::MAX_SIZE {
            faults.add(field, || format!("must be finite and at most 1e6 in size, got {number}"));
        }
    }
    if let Clip::Dynamic { quantile, max } = row.x_0.clip {
        if !(quantile > 0.0 && quantile <= 1.0) {
            faults.add("x_0.clip", || format!("the quantile must be in (0, 1], got {quantile}"));
        }
        if max < 1.0 {
            faults.add("x_0.clip", || format!("max must be at least 1, got {max}"));
        }
    }
    let reads_output = row.x_0.p_f != 0.0
        || row.u.f != 0.0
        || row.y.f != 0.0
        || row.push.is_some_and(|push| push.f != 0.0)
        || row.variance != RawVariance::None;
    if row.evals == Evals::Zero && reads_output {
        faults.add("evals", || "reads the network's output but has no eval".into());
    }
}

/// The names of a mix's coefficients, in their order.
macro_rules! mix_fields {
    ($of:literal) => {
        [
            concat!($of, ".u"),
            concat!($of, ".y"),
            concat!($of, ".x_0"),
            concat!($of, ".f"),
            concat!($of, ".h"),
            concat!($of, ".h"),
            concat!($of, ".h"),
            concat!($of, ".z"),
            concat!($of, ".known"),
        ]
    };
}

/// Every number of a row that the kernel uses, in a fixed order, with its field.
fn numbers(row: &Row) -> impl Iterator<Item = (&'static str, f64)> {
    let scale = match row.evals {
        Evals::Guided { scale } => scale,
        Evals::Zero | Evals::One | Evals::Unconditional => 0.0,
    };
    let [quantile, max] = match row.x_0.clip {
        Clip::Dynamic { quantile, max } => [quantile, max],
        Clip::None | Clip::Unit => [0.0; 2],
    };
    let [ln_min, ln_max] = match row.variance {
        RawVariance::Range { ln_min, ln_max } => [ln_min, ln_max],
        RawVariance::None | RawVariance::LogVariance => [0.0; 2],
    };
    let push = row.push.unwrap_or_default();
    let y = mix_fields!("y").into_iter().zip(row.y.coefficients());
    let u = mix_fields!("u").into_iter().zip(row.u.coefficients());
    [
        ("evals.scale", scale),
        ("t", row.t),
        ("c_in", row.c_in),
        ("x_0.p_u", row.x_0.p_u),
        ("x_0.p_f", row.x_0.p_f),
        ("push.u", push.u),
        ("push.x_0", push.x_0),
        ("push.f", push.f),
        ("x_0.clip", quantile),
        ("x_0.clip", max),
        ("variance", ln_min),
        ("variance", ln_max),
    ]
    .into_iter()
    .chain(y)
    .chain(u)
}

fn hash_row(row: &Row, hash: &mut Sha256) {
    for (_, number) in numbers(row) {
        // + 0.0 makes the two zeros one.
        hash.update((number + 0.0).to_le_bytes());
    }
    let clip = match row.x_0.clip {
        Clip::None => 0u8,
        Clip::Unit => 1,
        Clip::Dynamic { .. } => 2,
    };
    let variance = match row.variance {
        RawVariance::None => 0,
        RawVariance::LogVariance => 1,
        RawVariance::Range { .. } => 2,
    };
    let mask = match row.mask {
        Mask::None => 0,
        Mask::ReplaceX0 => 1,
        Mask::ReplaceXt => 2,
    };
    let evals = match row.evals {
        Evals::Zero => 0,
        Evals::One => 1,
        Evals::Guided { .. } => 2,
        Evals::Unconditional => 3,
    };
    hash.update([evals, clip, variance, mask, u8::from(row.push.is_some())]);
    let address = [row.noise.draw.map(u64::from), row.noise.index];
    for part in address {
        hash.update([u8::from(part.is_some())]);
        hash.update(part.unwrap_or(0).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Kernel, Known, Mix, Noise, NoiseAddress, Push, Real, State, X0Rule};

    fn row(step: u32, num_steps: u32) -> Row {
        let mut row = Row::at(5.0);
        row.label.step = step;
        row.label.num_steps = num_steps;
        row
    }

    fn reason(rows: Vec<Row>) -> String {
        Program::new(rows).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_program_is_refused() {
        assert_eq!(reason(vec![]), "program: needs at least one row");
    }

    #[test]
    fn noise_in_the_last_row_is_refused() {
        let mut noisy = row(1, 1);
        noisy.u.z = 0.5;
        assert_eq!(reason(vec![noisy]), "row 0: u.z: the last row must not add noise");
    }

    #[test]
    fn numbers_that_are_not_finite_or_huge_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, 2e6] {
            let mut first = row(1, 2);
            first.u = Mix { x_0: bad, ..Mix::ZERO };
            assert!(reason(vec![first, row(2, 2)]).contains("finite and at most 1e6"));
        }
    }

    #[test]
    fn twenty_faults_are_told_and_the_others_counted() {
        let bad = Mix { u: f64::NAN, x_0: f64::NAN, ..Mix::ZERO };
        let rows = |count| vec![Row { u: bad, ..row(1, 1) }; count];
        let faults = Program::checked(rows(1)).unwrap_err();
        let told: Vec<String> = faults.iter().map(Error::to_string).collect();
        let want =
            |field| format!("row 0: {field}: must be finite and at most 1e6 in size, got NaN");
        assert_eq!(told, [want("u.u"), want("u.x_0"), "row 0: u.z".into()][..2]);

        // Two numbers a row, and a step that does not count up in all but the first.
        let faults = Program::checked(rows(70_000)).unwrap_err();
        assert_eq!(faults.len(), Program::MAX_FAULTS + 1);
        let more = Error::Program(format!("has {} more faults", 3 * 70_000 - 1 - 20));
        assert_eq!(faults.last(), Some(&more));
    }

    #[test]
    fn steps_must_count_up() {
        assert_eq!(
            reason(vec![row(1, 3), row(3, 3)]),
            "row 1: label.step: belongs to step 3, expected 2"
        );
        assert_eq!(reason(vec![row(1, 2)]), "row 0: label: the last row must end the last step");
    }

    #[test]
    fn a_row_without_an_eval_cannot_read_the_output() {
        let mut silent = row(1, 1);
        silent.evals = Evals::Zero;
        assert!(Program::new(vec![silent.clone()]).is_ok());
        silent.u.f = 1.0;
        assert_eq!(
            reason(vec![silent]),
            "row 0: evals: reads the network's output but has no eval"
        );
    }

    #[test]
    fn the_digest_sees_numbers_and_draws_but_not_labels() {
        let digest = |row: Row| Program::new(vec![row]).unwrap().digest();
        let base = row(1, 1);
        let mut shown = base.clone();
        shown.label.noise_level = 0.5;
        let mut moved = base.clone();
        moved.u.x_0 = 1e-9;
        let mut redrawn = base.clone();
        redrawn.noise.draw = Some(0);
        assert_eq!(digest(base.clone()), digest(shown));
        assert_ne!(digest(base.clone()), digest(moved));
        assert_ne!(digest(base), digest(redrawn));
    }

    #[test]
    fn evals_are_the_sum_over_rows() {
        let mut guided = row(1, 2);
        guided.evals = Evals::Guided { scale: 2.0 };
        let mut silent = row(2, 2);
        silent.evals = Evals::Zero;
        assert_eq!(Program::new(vec![guided, silent]).unwrap().evals(), 2);
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
}
