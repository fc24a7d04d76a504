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
    /// Send a message of the contract.
    #[error("the request cannot be read: {0}")]
    Undecodable(String),
    /// Split the request.
    #[error(
        "the message has more than {limit} bytes: split the request by index ranges, or send \
         fewer inputs or rows"
    )]
    TooLarge { limit: u64 },
    /// Send faster.
    #[error("the message did not come within {} s ({what}): send it again", limit.as_secs())]
    BodyTimeout { what: &'static str, limit: Duration },
    /// Compress in another way, or not at all.
    #[error("grpc-encoding {encoding:?} is not known here: use gzip, deflate or identity")]
    UnknownEncoding { encoding: String },
    /// Retry after a pause.
    #[error("{what} ({limit}); retry in {} s", retry_after.as_secs_f64().ceil())]
    TooManyChecks { what: &'static str, limit: usize, retry_after: Duration },
    /// Request another model.
    #[error("there is no model {model:?}{}; this server has: {known}", version_suffix(version))]
    NotFound { model: String, version: String, known: String },
    /// Name another graph, or none.
    #[error(
        "model {model:?} is not served in the graph {graph:?} here, only in {}: name one of them, \
         or none",
        served.join(", ")
    )]
    GraphUnavailable { model: String, graph: String, served: Vec<&'static str> },
    /// Ask for DETERMINISM_RELAXED.
    #[error("model {model:?} cannot promise equal bits here ({why}): ask for RELAXED")]
    StrictUnavailable { model: String, why: String },
    /// Try another replica, or start over.
    #[error("{field} is {found:?} here, not {expected:?}: the samples would not be the same")]
    ExpectMismatch { field: &'static str, expected: String, found: String },
    /// Retry after a pause.
    #[error("{what} ({limit}); retry in {} s", retry_after.as_secs_f64().ceil())]
    Full { what: &'static str, limit: u64, retry_after: Duration },
    /// Retry after a pause, or ask for less at a time.
    #[error(
        "{principal} has used up its quota: {what} ({limit}); retry in {} s",
        retry_after.as_secs_f64().ceil()
    )]
    Quota { principal: String, what: &'static str, limit: String, retry_after: Duration },
    /// Allow more time, or ask for less.
    #[error(
        "this takes {:.3} s and the deadline leaves {:.3} s: allow more time, or ask for fewer \
         samples or steps",
        needed.as_secs_f64(),
        available.as_secs_f64()
    )]
    Infeasible { needed: Duration, available: Duration, decided_in: Duration },
    /// Allow more time, or ask for less.
    #[error("the deadline passed; the samples that came before it are whole")]
    DeadlinePassed,
    /// Read faster, and request the missing samples again.
    #[error(
        "this stream was not read for {} s; request the missing samples again",
        stall.as_secs_f64()
    )]
    ClientStalled { stall: Duration },
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
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::Undecodable(_) => "UNDECODABLE",
            Self::TooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::BodyTimeout { .. } => "BODY_TIMEOUT",
            Self::UnknownEncoding { .. } => "UNKNOWN_ENCODING",
            Self::TooManyChecks { .. } => "TOO_MANY_CHECKS",
            Self::NotFound { .. } => "MODEL_NOT_FOUND",
            Self::GraphUnavailable { .. } => "GRAPH_UNAVAILABLE",
            Self::ExpectMismatch { .. } => "EXPECT_MISMATCH",
            Self::StrictUnavailable { .. } => "STRICT_UNAVAILABLE",
            Self::Quota { .. } => "QUOTA_EXCEEDED",
            Self::Infeasible { .. } => "DEADLINE_INFEASIBLE",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::ClientStalled { .. } => "CLIENT_STALLED",
            Self::Full { .. } => "QUEUE_FULL",
            Self::Draining => "DRAINING",
            Self::Stopped => "STOPPED",
            Self::Runtime => "RUNTIME_FAILED",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) | Self::Undecodable(_) => Code::InvalidArgument,
            Self::TooLarge { .. } | Self::TooManyChecks { .. } => Code::ResourceExhausted,
            Self::UnknownEncoding { .. } => Code::Unimplemented,
            Self::NotFound { .. } => Code::NotFound,
            Self::ExpectMismatch { .. }
            | Self::GraphUnavailable { .. }
            | Self::StrictUnavailable { .. } => Code::FailedPrecondition,
            Self::Full { .. } | Self::Quota { .. } => Code::ResourceExhausted,
            Self::Infeasible { .. } | Self::DeadlinePassed => Code::DeadlineExceeded,
            Self::Draining
            | Self::Stopped
            | Self::ClientStalled { .. }
            | Self::BodyTimeout { .. } => Code::Unavailable,
            Self::Runtime => Code::Internal,
        }
    }

    /// Returns the numbers of `google.rpc.ErrorInfo`.
    fn metadata(&self) -> HashMap<String, String> {
        let Self::Infeasible { needed, available, decided_in } = self else {
            return HashMap::new();
        };
        let entry = |name: &str, number: u128| (name.into(), number.to_string());
        [
            entry("needed_ms", needed.as_millis()),
            entry("available_ms", available.as_millis()),
            entry("decided_us", decided_in.as_micros()),
        ]
        .into()
    }

    fn details(&self) -> ErrorDetails {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason(), "ddpm", self.metadata());
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
            Self::GraphUnavailable { served, .. } => {
                details.add_precondition_failure_violation("GRAPH", "graph", served.join(", "));
            }
            Self::StrictUnavailable { why, .. } => {
                details.add_precondition_failure_violation("STRICT", "determinism", why);
            }
            Self::Undecodable(_) | Self::TooLarge { .. } | Self::UnknownEncoding { .. } => {}
            Self::Full { retry_after, .. } | Self::TooManyChecks { retry_after, .. } => {
                details.set_retry_info(Some(*retry_after));
            }
            Self::Quota { principal, what, limit, retry_after } => {
                details.add_quota_failure_violation(principal, format!("{what}: {limit}"));
                details.set_retry_info(Some(*retry_after));
            }
            Self::Infeasible { .. } | Self::DeadlinePassed => {}
            Self::Draining
            | Self::Stopped
            | Self::ClientStalled { .. }
            | Self::BodyTimeout { .. } => {
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
            (
                Error::BodyTimeout { what: "its next byte", limit: retry_after },
                Duration::from_secs(1),
            ),
        ] {
            let status = Status::from(error);
            let retry = status.get_details_retry_info().expect("the status has a retry delay");
            assert_eq!(retry.retry_delay, Some(pause), "{status}");
        }
    }
}
