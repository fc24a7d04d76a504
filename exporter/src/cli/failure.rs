//! Why a command ended early, and its exit code.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use ddpm_torch::distributed::GroupError;

use crate::evaluate::EvaluateError;
use crate::export::package::ExportError;
use crate::export::read::ReadError;
use crate::export::verify::VerifyError;
use crate::import::ImportError;
use crate::train::{CheckpointError, TrainError};

/// Grouped by exit code.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: what was asked for is not complete.
    Usage(String),
    /// Exit code 1: something went wrong on the way.
    Failed(Box<dyn Error + Send + Sync>),
    /// Exit code 3: settings, data or a package that cannot be used.
    Refused(Box<dyn Error + Send + Sync>),
    /// Exit code 6: a check ran, and did not pass.
    CheckFailed(String),
    /// Exit code 128 + the signal: training was cut short, and saved itself.
    Stopped {
        /// SIGINT or SIGTERM.
        signal: i32,
        /// The folder of the run.
        run: PathBuf,
    },
}

impl Failure {
    /// What the process should end with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Refused(_) => ExitCode::from(3),
            Self::CheckFailed(_) => ExitCode::from(6),
            Self::Stopped { signal, .. } => ExitCode::from((128 + signal) as u8),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) | Self::Refused(error) => {
                write!(f, "error: {error}")?;
                write_causes(f, error.as_ref())
            }
            Self::Usage(reason) => write!(f, "error: {reason}"),
            Self::CheckFailed(reason) => write!(f, "check failed: {reason}"),
            Self::Stopped { run, .. } => {
                write!(f, "stopped; go on with: ddpm-exporter train --resume {}", run.display())
            }
        }
    }
}

/// The causes that the message before did not tell already.
fn write_causes(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    let (mut told, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let message = cause.to_string();
        if !told.contains(&message) {
            write!(f, ": {message}")?;
        }
        (told, next) = (message, cause.source());
    }
    Ok(())
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Setting { .. }
            | TrainError::Model(_)
            | TrainError::Diffusion(_)
            | TrainError::Data(_) => Self::Refused(error.into()),
            TrainError::Checkpoint(error) => error.into(),
            TrainError::Group(error) => error.into(),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Launch(_) | GroupError::NoNccl => Self::Refused(error.into()),
            GroupError::Join { .. } | GroupError::Lost { .. } => Self::Failed(error.into()),
        }
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Write { .. } => Self::Failed(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<ddpm_package::Error> for Failure {
    fn from(error: ddpm_package::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Settings(error) => error.into(),
            ExportError::Package(ddpm_package::Error::Io { .. })
            | ExportError::Picture(_)
            | ExportError::Weights(_)
            | ExportError::Write { .. }
            | ExportError::Torch(_) => Self::Failed(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Export(error) => error.into(),
            ImportError::Torch(_) => Self::Failed(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Package(_) | VerifyError::Read(_) => Self::Refused(error.into()),
            VerifyError::Onnx(_) | VerifyError::Torch(_) => Self::Failed(error.into()),
        }
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Onnx(ddpm_onnx::Error::Graph(_) | ddpm_onnx::Error::Package(_)) => {
                Self::Refused(error.into())
            }
            EvaluateError::Onnx(_) | EvaluateError::Torch(_) | EvaluateError::Write { .. } => {
                Self::Failed(error.into())
            }
            _ => Self::Refused(error.into()),
        }
    }
}
