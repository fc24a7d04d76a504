//! The commands of rank 0 to the other ranks.

use crate::distributed::team::Team;
use crate::error::TrainError;

/// What samples are for; this decides the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A picture of the run's progress.
    Preview,
    /// A judge.
    Judge,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Take the next step.
    Step,
    /// Draw a share of samples `first..end` with the averaged weights.
    Draw { purpose: Purpose, first: usize, end: usize },
    /// Wait for the next command: rank 0 is busy with something that it does alone.
    Wait,
    /// Stop: the run is finished, or a signal stopped it.
    End { signal: Option<i32> },
}

impl Command {
    /// Sends it to the other ranks; rank 0 only.
    pub(crate) fn send(self, team: &Team) -> Result<(), TrainError> {
        team.broadcast_numbers(self.numbers()).map(|_| ())
    }

    /// Waits for the next one from rank 0; the other ranks only.
    pub(crate) fn receive(team: &Team) -> Result<Self, TrainError> {
        team.broadcast_numbers([0; 3]).map(Self::from_numbers)
    }

    fn numbers(self) -> [i64; 3] {
        match self {
            Self::Step => [0, 0, 0],
            Self::Draw { purpose: Purpose::Preview, first, end } => [1, first as i64, end as i64],
            Self::Draw { purpose: Purpose::Judge, first, end } => [2, first as i64, end as i64],
            Self::Wait => [3, 0, 0],
            Self::End { signal } => [4, i64::from(signal.unwrap_or(0)), 0],
        }
    }

    fn from_numbers([kind, first, second]: [i64; 3]) -> Self {
        let draw = |purpose| Self::Draw { purpose, first: first as usize, end: second as usize };
        match kind {
            0 => Self::Step,
            1 => draw(Purpose::Preview),
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
    fn a_command_survives_its_way_as_numbers() {
        let commands = [
            Command::Step,
            Command::Draw { purpose: Purpose::Preview, first: 0, end: 64 },
            Command::Draw { purpose: Purpose::Judge, first: 1024, end: 1500 },
            Command::Wait,
            Command::End { signal: None },
            Command::End { signal: Some(15) },
        ];
        for command in commands {
            assert_eq!(Command::from_numbers(command.numbers()), command);
        }
    }
}
