//! What is logged of calls that fail: the first of each reason, then how many, once in a while;
//! each of them for those who debug. A peer can cause as many as it likes.

use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tracing::{debug, info};

use super::seldom::SeldomEach;
use crate::error::shorten;
use crate::principal::Principal;

/// The refusals of all connections.
#[derive(Debug, Default)]
pub(super) struct Refusals(SeldomEach);

impl Refusals {
    /// Notes a call that was answered without a message.
    pub(super) fn note(&self, principal: &Principal, path: &str, status: &Status) {
        if status.code() == Code::Ok {
            return;
        }
        let (path, message) = (shorten(path), status.message());
        debug!(%principal, path, message, "refused");
        if let Some(times) = self.0.happened(&kind(status), Instant::now()) {
            info!(%principal, path, message, times, "refused; the last of so many of a kind");
        }
    }
}

/// Returns the reason, which is one of ours, or the code.
fn kind(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("{:?}", status.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn refusals_are_counted_by_their_reason_or_code() {
        assert_eq!(kind(&Error::Draining.into()), "DRAINING");
        assert_eq!(kind(&Status::unimplemented("no such method")), "Unimplemented");
    }
}
