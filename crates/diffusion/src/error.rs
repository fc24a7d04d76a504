//! What can be wrong with a schedule, a grid, a sampler or a program, and where.

use std::fmt;

/// Why something could not be built, and what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The schedule's numbers are out of range.
    #[error("schedule: {0}")]
    Schedule(String),
    /// The grid does not fit the process.
    #[error("time grid: {reason}")]
    Grid {
        /// What to change.
        field: GridField,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The sampler and the network do not fit each other.
    #[error("sampler: {0}")]
    Sampler(String),
    /// An option of the sampler, of guidance or of the edit is out of range.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: OptionField,
        /// The allowed values, and the one found.
        reason: String,
    },
    /// A text names something that does not exist, or an option that it does not have.
    #[error("{0}")]
    Spec(String),
    /// A row of a program breaks a rule.
    #[error("row {row}: {field}: {reason}")]
    Row {
        /// Position of the row, from 0.
        row: usize,
        /// The field of the row.
        field: RowField,
        /// The rule, with the numbers.
        reason: String,
    },
    /// A program as a whole breaks a rule.
    #[error("program: {0}")]
    Program(String),
}

impl Error {
    /// Reports a number of steps that does not suit the grid.
    pub(crate) fn num_steps(reason: impl Into<String>) -> Self {
        Self::Grid { field: GridField::NumSteps, reason: reason.into() }
    }

    /// Reports points that do not suit the process or the sampler.
    pub(crate) fn points(reason: impl Into<String>) -> Self {
        Self::Grid { field: GridField::Points, reason: reason.into() }
    }

    /// Reports a value that an option of the sampler cannot have here.
    pub(crate) fn option(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option: OptionField::Sampler(name), reason: reason.into() }
    }
}

/// The part of a grid that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridField {
    /// The number of steps.
    NumSteps,
    /// The points: the grid's list of numbers if it has one, otherwise its rule.
    Points,
}

/// An option that is not part of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionField {
    /// Of the sampler, by its name in the text form.
    Sampler(&'static str),
    /// [`Guidance::scale`](crate::Guidance::scale).
    GuidanceScale,
    /// [`Guidance::sigma_min`](crate::Guidance::sigma_min).
    GuidanceSigmaMin,
    /// Of [`Start::Image`](crate::Start::Image).
    Strength,
    /// Of [`Inpaint::ReplaceXt`](crate::Inpaint::ReplaceXt).
    Resampling,
    /// Of [`Inpaint::ReplaceXt`](crate::Inpaint::ReplaceXt).
    JumpLength,
}

impl fmt::Display for OptionField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sampler(name) => name,
            Self::GuidanceScale => "guidance.scale",
            Self::GuidanceSigmaMin => "guidance.sigma_min",
            Self::Strength => "strength",
            Self::Resampling => "resampling",
            Self::JumpLength => "jump_length",
        })
    }
}

/// A field of a [`Row`](crate::Row).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowField {
    /// The network evaluations.
    Evals,
    /// The scale of [`Evals::Guided`](crate::Evals::Guided).
    GuidanceScale,
    /// The timestep.
    T,
    /// The scale of the network's input.
    CIn,
    /// The coefficient of u in x_0.
    PU,
    /// The coefficient of F in x_0.
    PF,
    /// The numbers of the clip rule.
    Clip,
    /// A coefficient of the next anchor.
    Y(MixField),
    /// A coefficient of the next point.
    U(MixField),
    /// A coefficient of what goes into the history.
    Push(MixField),
    /// The range of the variance.
    Variance,
    /// The step that it belongs to.
    Step,
    /// The number of steps.
    NumSteps,
    /// Whether it ends a step.
    EndsStep,
    /// The noise level.
    NoiseLevel,
}

impl fmt::Display for RowField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evals => "evals",
            Self::GuidanceScale => "evals.scale",
            Self::T => "t",
            Self::CIn => "c_in",
            Self::PU => "x_0.p_u",
            Self::PF => "x_0.p_f",
            Self::Clip => "x_0.clip",
            Self::Y(of) => return write!(f, "y.{of}"),
            Self::U(of) => return write!(f, "u.{of}"),
            Self::Push(of) => return write!(f, "push.{of}"),
            Self::Variance => "variance",
            Self::Step => "label.step",
            Self::NumSteps => "label.num_steps",
            Self::EndsStep => "label",
            Self::NoiseLevel => "label.noise_level",
        })
    }
}

/// A coefficient of a [`Mix`](crate::Mix) or a [`Push`](crate::Push); displayed as the contract
/// names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixField {
    /// Of the current point.
    U,
    /// Of the current anchor.
    Y,
    /// Of the prediction of x_0.
    X0,
    /// Of the network's output.
    F,
    /// Of the history.
    H,
    /// Of the noise.
    Z,
    /// Of the known image.
    Known,
}

impl fmt::Display for MixField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U => "u",
            Self::Y => "y",
            Self::X0 => "x_0",
            Self::F => "f",
            Self::H => "h",
            Self::Z => "z",
            Self::Known => "known",
        })
    }
}
