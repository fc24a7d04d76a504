//! Errors, grouped by what the caller can do about them.
//!
//! A gRPC status from the server is a refusal; one from our own transport means that
//! the server was not reached or that the stream broke. tonic sets a source only in
//! the latter.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

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
        /// As passed by the caller.
        endpoint: String,
        /// The error of the operating system or the transport.
        cause: String,
    },
    /// Request the missing samples again.
    #[error("the stream broke before it was complete: {0}")]
    Interrupted(String),
    /// Change the request, or retry later.
    #[error("the server refused: {0}")]
    Refused(Box<Refusal>),
    /// Allow more time, or request fewer samples or steps.
    #[error("the deadline passed before the run was complete")]
    DeadlinePassed,
    /// Request the sample again: the bytes are not those that the server sent.
    #[error("sample {index} arrived damaged: its SHA-256 does not match")]
    Damaged {
        /// Index of the sample.
        index: u64,
    },
    /// Report it, or use the same version of client and server.
    #[error("the server violates ddpm.v1: {0}")]
    Protocol(String),
    /// Choose another path, or free some space.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `write`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Request fewer samples, or a smaller scale.
    #[error("{0}")]
    Picture(String),
}

impl From<ddpm_pictures::Error> for Error {
    fn from(error: ddpm_pictures::Error) -> Self {
        Self::Picture(error.to_string())
    }
}

impl Error {
    /// Wraps an I/O error on `path`; `action` is a verb such as `write`.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    /// Returns the exit code of a command that ends with this error: 1 failed,
    /// 2 usage, 4 unreachable, 5 refused.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Unreachable { .. } | Self::Interrupted(_) => 4,
            // As a server says it: a refusal with `DeadlineExceeded`.
            Self::Refused(_) | Self::DeadlinePassed => 5,
            Self::Damaged { .. } | Self::Protocol(_) | Self::Picture(_) | Self::File { .. } => 1,
        }
    }

    /// Returns whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted(_) => true,
            Self::Refused(refusal) => match refusal.code {
                Code::Unavailable => true,
                // More time or a smaller message is needed, not a later one.
                Code::DeadlineExceeded => false,
                _ if refusal.reason.as_deref() == Some("MESSAGE_TOO_LARGE") => false,
                _ => refusal.retry_after.is_some(),
            },
            Self::Request(_)
            | Self::DeadlinePassed
            | Self::Damaged { .. }
            | Self::Protocol(_)
            | Self::File { .. }
            | Self::Picture(_) => false,
        }
    }

    /// Returns whether the deadline of the run is over, or too close.
    pub(crate) fn is_deadline(&self) -> bool {
        match self {
            Self::DeadlinePassed => true,
            Self::Refused(refusal) => refusal.code == Code::DeadlineExceeded,
            _ => false,
        }
    }

    /// Returns whether the server is another build, or runs elsewhere, than the one that made the
    /// first samples, with the same model and the same rows: its samples may differ in the last
    /// bits. [`Request::accept_build`](crate::Request::accept_build) accepts them.
    #[must_use]
    pub fn is_other_build(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.mismatch() == Some("expect.fingerprint"))
    }

    /// Returns the pause after which the server says to retry, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Distinguishes a status of the server from one of our transport.
    pub(crate) fn from_status(status: &Status) -> Self {
        match std::error::Error::source(status) {
            Some(source) => Self::Interrupted(innermost(source)),
            // What tonic makes of a stream that was reset without a status. Servers never say it.
            None if status.code() == Code::Unknown && status.details().is_empty() => {
                Self::Interrupted(status.message().to_owned())
            }
            None => Self::Refused(Box::new(Refusal::from_status(status))),
        }
    }

    /// Distinguishes them for a call that opens a connection, where a transport error
    /// means that the server is unreachable.
    pub(crate) fn from_opening(status: &Status, endpoint: &str) -> Self {
        match Self::from_status(status) {
            Self::Interrupted(cause) => Self::Unreachable { endpoint: endpoint.to_owned(), cause },
            other => other,
        }
    }
}

/// Returns the message of the last error in a chain, which names the cause.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Why a server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// A message for people.
    pub message: String,
    /// Stable, UPPER_SNAKE; from `google.rpc.ErrorInfo`.
    pub reason: Option<String>,
    /// The invalid fields; from `google.rpc.BadRequest`, `PreconditionFailure` and
    /// `QuotaFailure`.
    pub violations: Vec<FieldViolation>,
    /// When to retry; from `google.rpc.RetryInfo`.
    pub retry_after: Option<Duration>,
}

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, such as `preview.indices`; of a quota: whose it is.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Refusal {
    fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let invalid = details.bad_request().map(|bad| bad.field_violations.iter());
        let unmet = details.precondition_failure().map(|failure| failure.violations.iter());
        let quotas = details.quota_failure().map(|failure| failure.violations.iter());
        let violations = invalid.into_iter().flatten().map(|v| (&v.field, &v.description));
        let violations = violations
            .chain(unmet.into_iter().flatten().map(|v| (&v.subject, &v.description)))
            .chain(quotas.into_iter().flatten().map(|v| (&v.subject, &v.description)));
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: details.error_info().map(|info| info.reason.clone()),
            violations: violations
                .map(|(field, description)| FieldViolation {
                    field: field.clone(),
                    description: description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// Returns the first field of `expect` that does not hold there.
    fn mismatch(&self) -> Option<&str> {
        let is_mismatch = self.reason.as_deref() == Some("EXPECT_MISMATCH");
        self.violations.first().filter(|_| is_mismatch).map(|first| first.field.as_str())
    }
}

/// Writes the message with code and reason, then one line per field.
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
    fn a_full_queue_is_transient_and_says_when_to_retry() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "queue is full", details);

        let error = Error::from_status(&status);

        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.exit_code(), 5);
    }

    #[test]
    fn a_deadline_or_a_large_message_is_final_whatever_the_server_asks_for() {
        for (code, reason) in [
            (Code::DeadlineExceeded, "DEADLINE_PASSED"),
            (Code::DeadlineExceeded, "DEADLINE_INFEASIBLE"),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        ] {
            let mut details = ErrorDetails::with_error_info(reason, "ddpm", []);
            details.set_retry_info(Some(Duration::from_secs(1)));
            let error = Error::from_status(&Status::with_error_details(code, "no", details));

            assert!(!error.is_transient(), "{reason}");
            assert_eq!(error.is_deadline(), code == Code::DeadlineExceeded);
        }
    }

    #[test]
    fn a_mismatch_of_the_fingerprint_alone_is_another_build() {
        for (field, is_other_build) in [
            ("expect.fingerprint", true),
            ("expect.model_digest", false),
            ("expect.program_digest", false),
        ] {
            let mut details = ErrorDetails::with_error_info("EXPECT_MISMATCH", "ddpm", []);
            details.add_precondition_failure_violation("EXPECT", field, "abc");
            let status = Status::with_error_details(Code::FailedPrecondition, "no", details);
            let error = Error::from_status(&status);

            assert_eq!(error.is_other_build(), is_other_build, "{field}");
            assert!(error.to_string().contains(&format!("\n  {field}: abc")), "{error}");
            assert_eq!((error.is_transient(), error.exit_code()), (false, 5));
        }
    }

    #[test]
    fn a_quota_is_named_with_its_owner() {
        let mut details = ErrorDetails::with_error_info("QUOTA_EXCEEDED", "ddpm", []);
        details.add_quota_failure_violation("127.0.0.2", "requests at a time: 8");
        details.set_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::ResourceExhausted, "quota", details);
        let error = Error::from_status(&status);

        assert!(error.is_transient());
        assert!(error.to_string().contains("127.0.0.2: requests at a time: 8"), "{error}");
    }

    #[test]
    fn a_stream_that_was_reset_without_a_status_is_interrupted() {
        let error = Error::from_status(&Status::unknown("missing grpc-status trailer"));

        assert!(matches!(error, Error::Interrupted(_)) && error.is_transient());
    }

    #[test]
    fn a_status_of_our_own_transport_is_not_a_refusal() {
        let status = Status::from_error(Box::new(io::Error::other("connection reset")));

        assert!(matches!(Error::from_status(&status), Error::Interrupted(_)));
        let opening = Error::from_opening(&status, "http://a:1");
        assert_eq!(opening.to_string(), "no server at http://a:1 (connection reset)");
        assert_eq!(opening.exit_code(), 4);
    }
}
