//! What rank 0 tells the others to do next.

use super::super::TrainError;
use super::Team;

/// What samples are for: it decides the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::train) enum Purpose {
    /// To be shown as a picture.
    Show,
    /// To be judged.
    Judge,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Take the next step.
    Step,
    /// Draw a share of samples `first..end` with the averaged weights.
    Draw { purpose: Purpose, first: usize, end: usize },
    /// Wait for the next order: rank 0 is busy with something that it does alone.
    Wait,
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
            Self::Draw { purpose: Purpose::Show, first, end } => [1, first as i64, end as i64],
            Self::Draw { purpose: Purpose::Judge, first, end } => [2, first as i64, end as i64],
            Self::Wait => [3, 0, 0],
            Self::End { signal } => [4, i64::from(signal.unwrap_or(0)), 0],
        }
    }

    fn from_numbers([kind, first, second]: [i64; 3]) -> Self {
        let draw = |purpose| Self::Draw { purpose, first: first as usize, end: second as usize };
        match kind {
            0 => Self::Step,
            1 => draw(Purpose::Show),
            2 => draw(Purpose::Judge),
            3 => Self::Wait,
            4 => Self::End { signal: (first != 0).then_some(first as i32) },
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
            Order::Draw { purpose: Purpose::Show, first: 0, end: 64 },
            Order::Draw { purpose: Purpose::Judge, first: 1024, end: 1500 },
            Order::Wait,
            Order::End { signal: None },
            Order::End { signal: Some(15) },
        ];
        for order in orders {
            assert_eq!(Order::from_numbers(order.numbers()), order);
        }
    }
}
