//! Why a command failed, and its exit code.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fmt, io};

use ddpm_conversion::export::ExportError;
use ddpm_conversion::export::int8::CalibrateError;
use ddpm_conversion::export::read::ReadError;
use ddpm_conversion::export::verify::VerifyError;
use ddpm_conversion::import::ImportError;
use ddpm_data::DataError;
use ddpm_evaluation::EvaluateError;
use ddpm_network::ConfigError;
use ddpm_torch::distributed::GroupError;
use ddpm_training::{CheckpointError, TrainError};
use tch::TchError;

use crate::int8::Int8Error;
use crate::package::PackageError;

/// Grouped by exit code.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: the command line is incomplete.
    Usage(String),
    /// Exit code 1: something went wrong while the command ran.
    Failed(Box<dyn Error + Send + Sync>),
    /// Exit code 3: unusable settings, data or package.
    Refused(Box<dyn Error + Send + Sync>),
    /// Exit code 6: a check ran and failed.
    CheckFailed(String),
    /// Exit code 128 + signal: training was stopped, and saved a checkpoint.
    Stopped {
        /// SIGINT, SIGTERM, SIGHUP or SIGXCPU.
        signal: i32,
        /// The command that continues the run.
        resume: String,
    },
}

impl Failure {
    /// Makes a [`Failed`](Self::Failed) for a file or folder that cannot be written; for `map_err`.
    pub(super) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| {
            let hint = "free space or fix its permissions";
            let reason = format!("{}: cannot be written: {cause}; {hint}", path.display());
            Self::Failed(reason.into())
        }
    }

    /// Puts the folder of a model before the message, unless it is there: the errors of what a
    /// package holds name only the file in it, and several packages may be in play.
    pub(super) fn within(self, folder: &Path) -> Self {
        let wrap = |cause: Box<dyn Error + Send + Sync>| -> Box<dyn Error + Send + Sync> {
            if cause.to_string().starts_with(&folder.display().to_string()) {
                return cause;
            }
            Box::new(InFolder { folder: folder.to_owned(), cause })
        };
        match self {
            Self::Failed(cause) => Self::Failed(wrap(cause)),
            Self::Refused(cause) => Self::Refused(wrap(cause)),
            Self::CheckFailed(reason) => {
                Self::CheckFailed(format!("{}: {reason}", folder.display()))
            }
            other @ (Self::Usage(_) | Self::Stopped { .. }) => other,
        }
    }

    /// Returns the exit code of the process.
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

/// An error about something in a folder that it does not name.
#[derive(Debug)]
struct InFolder {
    folder: PathBuf,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for InFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.cause)
    }
}

impl Error for InFolder {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
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
            Self::Stopped { resume, .. } => write!(f, "stopped; resume with: {resume}"),
        }
    }
}

/// Returns a converter of errors about what a folder holds, which puts the folder before them; for
/// `map_err`.
pub(super) fn within<E: Into<Failure>>(folder: &Path) -> impl Fn(E) -> Failure {
    move |error| error.into().within(folder)
}

/// Appends the causes that the message before them does not already contain.
fn write_causes(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    let (mut previous, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let message = cause.to_string();
        if !previous.contains(&message) {
            write!(f, ": {message}")?;
        }
        (previous, next) = (message, cause.source());
    }
    Ok(())
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Setting { .. }
            | TrainError::Model(_)
            | TrainError::Diffusion(_)
            | TrainError::Data(_)
            | TrainError::Moved { .. } => Self::Refused(error.into()),
            TrainError::Checkpoint(error) => error.into(),
            TrainError::Group(error) => error.into(),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<ddpm_diffusion::Error> for Failure {
    fn from(error: ddpm_diffusion::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<TchError> for Failure {
    fn from(error: TchError) -> Self {
        TrainError::from(error).into()
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
            CheckpointError::Write { .. } | CheckpointError::Encode { .. } => {
                Self::Failed(error.into())
            }
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
            ExportError::Package(ddpm_package::Error::Io { .. })
            | ExportError::Picture(_)
            | ExportError::Weights(_)
            | ExportError::Write { .. }
            | ExportError::Torch(_) => Self::Failed(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Settings(error) => error.into(),
            PackageError::Export(error) => error.into(),
            PackageError::Data(_) => Self::Refused(error.into()),
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
            VerifyError::Package(_) | VerifyError::Read(_) | VerifyError::Lower(_) => {
                Self::Refused(error.into())
            }
            VerifyError::Onnx(_) | VerifyError::Torch(_) => Self::Failed(error.into()),
        }
    }
}

impl From<Int8Error> for Failure {
    fn from(error: Int8Error) -> Self {
        match error {
            Int8Error::Onnx(_) | Int8Error::Calibrate(CalibrateError::Torch(_)) => {
                Self::Failed(error.into())
            }
            Int8Error::Evaluate(error) => error.into(),
            Int8Error::Export(error) => error.into(),
            _ => Self::Refused(error.into()),
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
