//! The rules of programs; a broken one is a fault of a row and a field.

use super::Program;
use super::numbers::numbers;
use crate::{Clip, Error, Evals, MixField, RawVariance, Row, RowField};

/// Returns the rules that rows break; none if they are a valid program.
pub(super) fn broken(rows: &[Row]) -> Vec<Error> {
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
        faults.add(RowField::U(MixField::Z), || "the last row must not add noise".into());
    }
    if !last.label.ends_step || last.label.step != last.label.num_steps {
        faults.add(RowField::EndsStep, || "the last row must end the last step".into());
    }
    faults.listed()
}

/// The rules broken so far: the first ones, and the number of the others.
#[derive(Default)]
struct Faults {
    row: usize,
    found: Vec<Error>,
    more: u64,
}

impl Faults {
    fn add(&mut self, field: RowField, reason: impl FnOnce() -> String) {
        if self.found.len() == Program::MAX_FAULTS {
            self.more += 1;
            return;
        }
        self.found.push(Error::Row { row: self.row, field, reason: reason() });
    }

    fn range(&mut self, field: RowField, value: f64, low: f64, high: f64) {
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
        faults.add(RowField::NumSteps, || {
            format!("must be {num_steps} as in the last row, got {got}")
        });
    }
    if label.step != step {
        faults.add(RowField::Step, || format!("belongs to step {}, expected {step}", label.step));
    }
    faults.range(RowField::NoiseLevel, label.noise_level, 0.0, 1.0);
}

fn check_row(row: &Row, faults: &mut Faults) {
    for (field, number) in numbers(row) {
        if !number.is_finite() || number.abs() > Program::MAX_SIZE {
            faults.add(field, || format!("must be finite and at most 1e6 in size, got {number}"));
        }
    }
    if let Clip::Dynamic { quantile, max } = row.x_0.clip {
        if !(quantile > 0.0 && quantile <= 1.0) {
            faults
                .add(RowField::Clip, || format!("the quantile must be in (0, 1], got {quantile}"));
        }
        if max < 1.0 {
            faults.add(RowField::Clip, || format!("max must be at least 1, got {max}"));
        }
    }
    let reads_output = row.x_0.p_f != 0.0
        || row.u.f != 0.0
        || row.y.f != 0.0
        || row.push.is_some_and(|push| push.f != 0.0)
        || row.variance != RawVariance::None;
    if row.evals == Evals::Zero && reads_output {
        faults.add(RowField::Evals, || "reads the network's output but has no eval".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mix;

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
    fn twenty_faults_are_listed_and_the_others_counted() {
        let bad = Mix { u: f64::NAN, x_0: f64::NAN, ..Mix::ZERO };
        let rows = |count| vec![Row { u: bad, ..row(1, 1) }; count];
        let faults = Program::checked(rows(1)).unwrap_err();
        let listed: Vec<String> = faults.iter().map(Error::to_string).collect();
        let want =
            |field| format!("row 0: {field}: must be finite and at most 1e6 in size, got NaN");
        assert_eq!(listed, [want("u.u"), want("u.x_0"), "row 0: u.z".into()][..2]);

        // Two numbers per row, and a step that does not count up in all but the first.
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
}
