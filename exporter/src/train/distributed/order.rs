//! What rank 0 tells the others to do next.

use super::super::TrainError;
use super::Team;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Take the next step.
    Step,
    /// Draw a share of samples with the averaged weights.
    Draw { count: usize, seed: u64 },
    /// Stop: the run is finished, or was asked to stop by a signal.
    End { signal: Option<i32> },
}

impl Order {
    /// Says it to the others; rank 0 only.
    pub(super) fn give(self, team: &Team) -> Result<(), TrainError> {
        team.announce(self.numbers()).map(|_| ())
    }

    /// Waits for rank 0 to say it; the others only.
    pub(super) fn take(team: &Team) -> Result<Self, TrainError> {
        team.announce([0; 3]).map(Self::from_numbers)
    }

    fn numbers(self) -> [i64; 3] {
        match self {
            Self::Step => [0, 0, 0],
            Self::Draw { count, seed } => [1, count as i64, seed.cast_signed()],
            Self::End { signal } => [2, i64::from(signal.unwrap_or(0)), 0],
        }
    }

    fn from_numbers([kind, first, second]: [i64; 3]) -> Self {
        match kind {
            0 => Self::Step,
            1 => Self::Draw { count: first as usize, seed: second.cast_unsigned() },
            2 => Self::End { signal: (first != 0).then_some(first as i32) },
            _ => unreachable!("rank 0 runs the same program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_it_was_after_the_way() {
        let orders = [
            Order::Step,
            Order::Draw { count: 64, seed: u64::MAX },
            Order::End { signal: None },
            Order::End { signal: Some(15) },
        ];
        for order in orders {
            assert_eq!(Order::from_numbers(order.numbers()), order);
        }
    }
}
