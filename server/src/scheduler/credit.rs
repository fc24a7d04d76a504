//! Time that may be taken before others: earned with a part of one's share, spent by what one is
//! given.
//!
//! Four fifths of the share are earned, so whoever takes less than that has credit, and whoever
//! takes all that is offered has none after a few seconds. It is bounded on both sides: a long
//! absence earns one second, and a long job is forgiven as soon.

use super::Nanos;

/// Most that is earned, and most that is owed.
const MOST: i64 = 1_000_000_000;

/// A bounded balance; in credit at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credit(i64);

impl Default for Credit {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Credit {
    /// Adds four fifths of a share.
    pub(super) fn earn(&mut self, share: Nanos) {
        self.0 = self.0.saturating_add_unsigned(share / 5 * 4).min(MOST);
    }

    /// Takes off what was given.
    pub(super) fn spend(&mut self, given: Nanos) {
        self.0 = self.0.saturating_sub_unsigned(given).max(-MOST);
    }

    /// Returns whether something is left.
    pub(super) fn is_left(self) -> bool {
        self.0 > 0
    }

    /// Returns whether nothing more can be earned.
    pub(super) fn is_full(self) -> bool {
        self.0 == MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn who_takes_all_of_a_share_runs_out_and_who_takes_less_does_not() {
        let (mut greedy, mut modest) = (Credit::default(), Credit::default());
        for _ in 0..100 {
            for (credit, given) in [(&mut greedy, SECOND / 10), (&mut modest, SECOND / 13)] {
                credit.earn(SECOND / 10);
                credit.spend(given);
            }
        }
        assert!(!greedy.is_left());
        assert!(modest.is_left());
    }

    #[test]
    fn a_second_is_owed_and_earned_at_most() {
        let mut credit = Credit::default();
        assert!(credit.is_full());
        credit.spend(100 * SECOND);
        // Four fifths of 1.25 s pay for the second; a little more is credit.
        credit.earn(SECOND * 5 / 4);
        assert!(!credit.is_left());
        credit.earn(10);
        assert!(credit.is_left() && !credit.is_full());
        credit.earn(100 * SECOND);
        assert!(credit.is_full());
        credit.spend(SECOND);
        assert!(!credit.is_left());
    }
}
