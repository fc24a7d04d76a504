//! The digest of a program: of every number that determines the samples, and nothing else.

use sha2::{Digest, Sha256};

use super::numbers::numbers;
use crate::{Clip, Evals, Mask, RawVariance, Row};

/// Computes the SHA-256, as 64 hex digits.
pub(super) fn of(rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"ddpm program 2");
    for row in rows {
        hash_row(row, &mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
    use super::*;
    use crate::Program;

    #[test]
    fn the_digest_sees_numbers_and_draws_but_not_labels() {
        let digest = |row: Row| Program::new(vec![row]).unwrap().digest();
        let mut base = Row::at(5.0);
        (base.label.step, base.label.num_steps) = (1, 1);
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
}
