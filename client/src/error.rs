//! What can go wrong, grouped by what the caller can do about it.
//!
//! The one distinction that needs care is who speaks: a gRPC status made by the
//! server is a refusal, one made by our own transport means that the server was
//! not reached or that the stream broke. tonic keeps a source only in the latter.

use std::{fmt, io, path::PathBuf, time::Duration};

use tonic::Status;
use tonic_types::StatusExt;

pub use tonic::Code;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Change the request; it was not sent.
    #[error("{0}")]
    Request(String),
    /// Start a server, or name another one.
    #[error("no server at {endpoint} ({cause})")]
    Unreachable {
        /// As it was given.
        endpoint: String,
        /// What the operating system or the transport says.
        cause: String,
    },
    /// Ask again for the samples that are missing.
    #[error("the stream broke before it was complete: {0}")]
    Interrupted(String),
    /// Change the request, or come back later: the server said no.
    #[error("the server refused: {0}")]
    Refused(Box<Refusal>),
    /// Ask again: these bytes are not what the server sent.
    #[error("sample {index} arrived damaged: its SHA-256 is not the announced one")]
    Damaged {
        /// Index of the sample.
        index: u64,
    },
    /// Report it, or bring client and server to one version.
    #[error("the server does not keep to ddpm.v1: {0}")]
    Protocol(String),
    /// Name another place, or make room.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `write`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Ask for fewer samples, or a smaller scale.
    #[error("{0}")]
    Picture(String),
}

impl From<ddpm_pictures::Error> for Error {
    fn from(error: ddpm_pictures::Error) -> Self {
        Self::Picture(error.to_string())
    }
}

impl Error {
    /// The exit code of a command that ends with this error: 1 failed, 2 usage,
    /// 4 unreachable, 5 refused.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Unreachable { .. } | Self::Interrupted(_) => 4,
            Self::Refused(_) => 5,
            Self::Damaged { .. } | Self::Protocol(_) | Self::Picture(_) | Self::File { .. } => 1,
        }
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted(_) => true,
            Self::Refused(refusal) => {
                refusal.code == Code::Unavailable || refusal.retry_after.is_some()
            }
            _ => false,
        }
    }

    /// When the server says to come back, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Sorts a status by who made it: the server, or our transport.
    pub(crate) fn from_status(status: &Status) -> Self {
        match std::error::Error::source(status) {
            Some(source) => Self::Interrupted(innermost(source)),
            None => Self::Refused(Box::new(Refusal::from_status(status))),
        }
    }

    /// As [`Error::from_status`] for calls that open a connection: a transport
    /// error means that nobody is there.
    pub(crate) fn from_opening(status: &Status, endpoint: &str) -> Self {
        match Self::from_status(status) {
            Self::Interrupted(cause) => Self::Unreachable { endpoint: endpoint.to_owned(), cause },
            other => other,
        }
    }
}

/// The last error of a chain: the one that names the cause.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What a server says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
    /// Stable, UPPER_SNAKE; from `google.rpc.ErrorInfo`.
    pub reason: Option<String>,
    /// The fields that are wrong; from `google.rpc.BadRequest`.
    pub violations: Vec<FieldViolation>,
    /// When to come back; from `google.rpc.RetryInfo`.
    pub retry_after: Option<Duration>,
}

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, such as `preview.indices`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Refusal {
    fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: details.error_info().map(|info| info.reason.clone()),
            violations: violations.unwrap_or_default().iter().map(FieldViolation::from).collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl From<&tonic_types::FieldViolation> for FieldViolation {
    fn from(violation: &tonic_types::FieldViolation) -> Self {
        Self { field: violation.field.clone(), description: violation.description.clone() }
    }
}

/// The sentence with code and reason, then one line for each field.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}", self.message, self.code)?;
        if let Some(reason) = &self.reason {
            write!(f, ", {reason}")?;
        }
        write!(f, ")")?;
        if let Some(pause) = self.retry_after {
            write!(f, "; try again in {:.1} s", pause.as_secs_f64())?;
        }
        self.violations
            .iter()
            .try_for_each(|wrong| write!(f, "\n  {}: {}", wrong.field, wrong.description))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(status: &Status) -> Refusal {
        match Error::from_status(status) {
            Error::Refused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_lists_reason_and_each_field() {
        let mut details = ErrorDetails::with_error_info("BAD_FIELD", "ddpm", []);
        details.add_bad_request_violation("num_steps", "must be in 1..=1000, got 0");
        details.add_bad_request_violation("ddim.eta", "must be in [0, 1], got 2");
        let status =
            Status::with_error_details(Code::InvalidArgument, "two fields are wrong", details);

        assert_eq!(
            refused(&status).to_string(),
            "two fields are wrong (InvalidArgument, BAD_FIELD)\n  \
             num_steps: must be in 1..=1000, got 0\n  ddim.eta: must be in [0, 1], got 2"
        );
    }

    #[test]
    fn a_full_queue_is_transient_and_says_when_to_come_back() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "queue is full", details);

        let error = Error::from_status(&status);

        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.exit_code(), 5);
    }

    #[test]
    fn a_status_of_our_own_transport_is_no_refusal() {
        let status = Status::from_error(Box::new(io::Error::other("connection reset")));

        assert!(matches!(Error::from_status(&status), Error::Interrupted(_)));
        let opening = Error::from_opening(&status, "http://a:1");
        assert_eq!(opening.to_string(), "no server at http://a:1 (connection reset)");
        assert_eq!(opening.exit_code(), 4);
    }
}
