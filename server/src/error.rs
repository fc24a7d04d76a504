//! Why a request fails, and its gRPC status.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Pause before trying another replica: without it, clients that retry at once would spin.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(1);

/// Grouped by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// Change the request; each violation names a field.
    #[error("{}", summary(.0))]
    Invalid(Vec<Violation>),
    /// Request another model.
    #[error("there is no model {model:?}{}; this server has: {known}", version_suffix(version))]
    NotFound { model: String, version: String, known: String },
    /// Try another replica, or start over.
    #[error("{field} is {found:?} here, not {expected:?}: the samples would not be the same")]
    ExpectMismatch { field: &'static str, expected: String, found: String },
    /// Retry after a pause.
    #[error("{what} ({limit}); retry in {} s", retry_after.as_secs_f64().ceil())]
    Full { what: &'static str, limit: u64, retry_after: Duration },
    /// Retry on another replica.
    #[error("the server is draining and accepts no new requests")]
    Draining,
    /// Request the missing samples from another replica.
    #[error("the server stopped before these samples were done; request the missing ones again")]
    Stopped,
    /// Report it. The cause is in our log, not on the wire.
    #[error("the model could not be run; the server's log says why")]
    Runtime,
}

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) description: String,
}

/// Cuts a caller's text so that it fits into a status: clients accept a few kilobytes.
pub(crate) fn shorten(text: &str) -> String {
    if text.len() <= 128 {
        return text.into();
    }
    text.chars().take(100).chain("…".chars()).collect()
}

fn summary(violations: &[Violation]) -> String {
    let lines: Vec<_> =
        violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    lines.join("; ")
}

fn version_suffix(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!(" in version {version:?}") }
}

impl Error {
    /// Returns the stable reason of `google.rpc.ErrorInfo`.
    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::NotFound { .. } => "MODEL_NOT_FOUND",
            Self::ExpectMismatch { .. } => "EXPECT_MISMATCH",
            Self::Full { .. } => "QUEUE_FULL",
            Self::Draining => "DRAINING",
            Self::Stopped => "STOPPED",
            Self::Runtime => "RUNTIME_FAILED",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NotFound { .. } => Code::NotFound,
            Self::ExpectMismatch { .. } => Code::FailedPrecondition,
            Self::Full { .. } => Code::ResourceExhausted,
            Self::Draining | Self::Stopped => Code::Unavailable,
            Self::Runtime => Code::Internal,
        }
    }

    fn details(&self) -> ErrorDetails {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason(), "ddpm", HashMap::new());
        match self {
            Self::Invalid(violations) => {
                for violation in violations {
                    details.add_bad_request_violation(&violation.field, &violation.description);
                }
            }
            Self::NotFound { model, .. } => {
                details.set_resource_info("model", model, "", "see ModelService.ListModels");
            }
            Self::ExpectMismatch { field, expected, .. } => {
                details.add_precondition_failure_violation("EXPECT", *field, expected);
            }
            Self::Full { retry_after, .. } => {
                details.set_retry_info(Some(*retry_after));
            }
            Self::Draining | Self::Stopped => {
                details.set_retry_info(Some(RETRY_ELSEWHERE));
            }
            Self::Runtime => {}
        }
        details
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::with_error_details(error.code(), error.to_string(), error.details())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_invite_a_retry_say_how_long_to_wait() {
        let retry_after = Duration::from_secs(3);
        let full = Error::Full { what: "full", limit: 1, retry_after };
        for (error, pause) in [
            (full, retry_after),
            (Error::Draining, Duration::from_secs(1)),
            (Error::Stopped, Duration::from_secs(1)),
        ] {
            let status = Status::from(error);
            let retry = status.get_details_retry_info().expect("the status has a retry delay");
            assert_eq!(retry.retry_delay, Some(pause), "{status}");
        }
    }
}
