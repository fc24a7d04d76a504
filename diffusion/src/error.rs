//! What can be wrong with a schedule, a grid, a sampler or a program.

/// Why something could not be built. Each says what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The schedule's numbers are out of range.
    #[error("schedule: {0}")]
    Schedule(String),
    /// The grid does not fit the process.
    #[error("time grid: {0}")]
    Grid(String),
    /// The sampler and the network do not fit each other.
    #[error("sampler: {0}")]
    Sampler(String),
    /// An option of the sampler, of the clip rule or of the edit is out of range.
    #[error("{option}: {reason}")]
    Option {
        /// Its name, as in the text form.
        option: &'static str,
        /// What it must be, with the number it is.
        reason: String,
    },
    /// A text names nothing, or an option that is not there.
    #[error("{0}")]
    Spec(String),
    /// A row of a program breaks a rule.
    #[error("row {row}: {field}: {reason}")]
    Row {
        /// Position of the row, from 0.
        row: usize,
        /// Which field of it, as in the contract.
        field: &'static str,
        /// Which rule, with the numbers.
        reason: String,
    },
    /// A program as a whole breaks a rule.
    #[error("program: {0}")]
    Program(String),
}
