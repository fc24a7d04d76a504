//! What can be wrong with a schedule, a grid or a program.

/// Why something could not be built. Each says what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The schedule's numbers are out of range.
    #[error("beta schedule: {0}")]
    Schedule(String),
    /// The grid does not fit the schedule.
    #[error("time grid: {0}")]
    Grid(String),
    /// The sampler and the network do not fit each other.
    #[error("sampler: {0}")]
    Sampler(String),
    /// A row of a program breaks a rule.
    #[error("row {row}: {reason}")]
    Row {
        /// Position of the row, from 0.
        row: usize,
        /// Which rule, with the numbers.
        reason: String,
    },
    /// A program as a whole breaks a rule.
    #[error("program: {0}")]
    Program(String),
}
