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
}

impl Program {
    /// Most rows of a program.
    pub const MAX_ROWS: usize = 100_000;

    /// Checks rows and makes them a program.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] or [`Error::Row`] with the rule that is broken.
    pub fn new(rows: Vec<Row>) -> Result<Self, Error> {
        let Some(last) = rows.last() else {
            return Err(Error::Program("needs at least one row".into()));
        };
        if rows.len() > Self::MAX_ROWS {
            let (max, got) = (Self::MAX_ROWS, rows.len());
            return Err(Error::Program(format!("at most {max} rows, got {got}")));
        }
        let last_row = rows.len() - 1;
        if last.u.z != 0.0 {
            return Err(row_error(last_row, "the last row must not add noise"));
        }
        if !last.label.ends_step || last.label.step != last.label.num_steps {
            return Err(row_error(last_row, "the last row must end the last step"));
        }
        let mut step = 1;
        for (position, row) in rows.iter().enumerate() {
            check_row(position, row)?;
            if row.label.num_steps != last.label.num_steps || row.label.step != step {
                let reason = format!("belongs to step {}, expected {step}", row.label.step);
                return Err(row_error(position, reason));
            }
            step += u32::from(row.label.ends_step);
        }
        let reads = |pick: fn(&Row) -> bool| rows.iter().any(pick);
        Ok(Self {
            evals: rows.iter().map(|row| row.evals.count() as u64).sum(),
            uses_history: reads(|row| row.push.is_some()),
            uses_anchor: reads(|row| row.u.y != 0.0),
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

    /// Whether any row pushes to the history.
    pub(crate) fn uses_history(&self) -> bool {
        self.uses_history
    }

    /// Whether any row reads the anchor y.
    pub(crate) fn uses_anchor(&self) -> bool {
        self.uses_anchor
    }

    /// SHA-256 over every number that decides the samples, as 64 hex digits.
    /// Labels do not count, so programs that differ only in what they show are
    /// the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"ddpm program 1");
        for row in &self.rows {
            hash_row(row, &mut hash);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn row_error(row: usize, reason: impl Into<String>) -> Error {
    Error::Row { row, reason: reason.into() }
}

fn check_row(position: usize, row: &Row) -> Result<(), Error> {
    let fail = |reason: String| Err(row_error(position, reason));
    if let Some(number) = numbers(row).find(|number| !number.is_finite() || number.abs() > 1e6) {
        return fail(format!("numbers must be finite and at most 1e6 in size, got {number}"));
    }
    if row.t < 0.0 {
        return fail(format!("t must be at least 0, got {}", row.t));
    }
    if let Clip::Dynamic { quantile, max } = row.x_0.clip
        && !(quantile > 0.0 && quantile <= 1.0 && max >= 1.0)
    {
        return fail(format!(
            "dynamic clip wants quantile in (0, 1] and max >= 1, got {quantile}, {max}"
        ));
    }
    if !(0.0..=1.0).contains(&row.label.noise_level) {
        return fail(format!("noise_level must be in [0, 1], got {}", row.label.noise_level));
    }
    let reads_output = row.x_0.p_f != 0.0
        || row.u.f != 0.0
        || row.y.f != 0.0
        || row.push.is_some_and(|push| push.f != 0.0)
        || row.variance != RawVariance::None;
    if row.evals == Evals::Zero && reads_output {
        return fail("reads the network's output but has no eval".into());
    }
    Ok(())
}

/// Every number of a row that the kernel uses, in a fixed order.
fn numbers(row: &Row) -> impl Iterator<Item = f64> {
    let scale = match row.evals {
        Evals::Guided { scale } => scale,
        Evals::Zero | Evals::One => 0.0,
    };
    let clip = match row.x_0.clip {
        Clip::Dynamic { quantile, max } => [quantile, max],
        Clip::None | Clip::Unit => [0.0; 2],
    };
    let variance = match row.variance {
        RawVariance::Range { ln_min, ln_max } => [ln_min, ln_max],
        RawVariance::None | RawVariance::LogVariance => [0.0; 2],
    };
    let push = row.push.unwrap_or_default();
    [scale, row.t, row.c_in, row.x_0.p_u, row.x_0.p_f, push.u, push.x_0, push.f]
        .into_iter()
        .chain(clip)
        .chain(variance)
        .chain(row.y.coefficients())
        .chain(row.u.coefficients())
}

fn hash_row(row: &Row, hash: &mut Sha256) {
    for number in numbers(row) {
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
    let evals = row.evals.count() as u8;
    hash.update([evals, clip, variance, mask, u8::from(row.push.is_some())]);
    let address = [row.noise.draw.map(u64::from), row.noise.index];
    for part in address {
        hash.update([u8::from(part.is_some())]);
        hash.update(part.unwrap_or(0).to_le_bytes());
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
        assert_eq!(reason(vec![noisy]), "row 0: the last row must not add noise");
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
    fn steps_must_count_up() {
        assert_eq!(reason(vec![row(1, 3), row(3, 3)]), "row 1: belongs to step 3, expected 2");
        assert_eq!(reason(vec![row(1, 2)]), "row 0: the last row must end the last step");
    }

    #[test]
    fn a_row_without_an_eval_cannot_read_the_output() {
        let mut silent = row(1, 1);
        silent.evals = Evals::Zero;
        assert!(Program::new(vec![silent.clone()]).is_ok());
        silent.u.f = 1.0;
        assert_eq!(reason(vec![silent]), "row 0: reads the network's output but has no eval");
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
}
