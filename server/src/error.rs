//! Why a request failed, and its gRPC status.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// When to try another replica. Where there is none, clients that come back at
/// once would do nothing but spin.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(1);

/// Grouped by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// Change the request; each violation names a field.
    #[error("{}", summary(.0))]
    Invalid(Vec<Violation>),
    /// Ask for another model.
    #[error("there is no model {model:?}{}; this server has: {known}", version_words(version))]
    NotFound { model: String, version: String, known: String },
    /// Ask another replica, or begin anew.
    #[error("{field} is {found:?} here, not {expected:?}: these would not be the same samples")]
    ExpectMismatch { field: &'static str, expected: String, found: String },
    /// Retry after a pause.
    #[error("{what} ({limit}); retry in {} s", retry_after.as_secs_f64().ceil())]
    Full { what: &'static str, limit: u64, retry_after: Duration },
    /// Retry on another replica.
    #[error("the server is draining and takes no new requests")]
    Draining,
    /// Ask again for what is missing, on another replica.
    #[error("the server stopped before these samples were done; ask again for the missing ones")]
    Stopped,
    /// Report it. The cause is in our log, not on the wire.
    #[error("the model could not be run; the server's log says why")]
    Runtime,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) description: String,
}

/// What a caller wrote, cut to what fits into a status: clients accept few kilobytes.
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

fn version_words(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!(" in version {version:?}") }
}

impl Error {
    /// The stable reason of `google.rpc.ErrorInfo`.
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
    fn who_is_told_to_come_back_is_told_to_pause() {
        let retry_after = Duration::from_secs(3);
        let full = Error::Full { what: "full", limit: 1, retry_after };
        for (error, pause) in [
            (full, retry_after),
            (Error::Draining, Duration::from_secs(1)),
            (Error::Stopped, Duration::from_secs(1)),
        ] {
            let status = Status::from(error);
            let retry = status.get_details_retry_info().expect("it says when");
            assert_eq!(retry.retry_delay, Some(pause), "{status}");
        }
    }
}
