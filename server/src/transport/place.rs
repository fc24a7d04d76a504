//! The place of a call among the streams, from its headers to the end of its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::table::{ConnectionId, Stream};
use crate::error::Error;

/// When to call again if too many calls are open.
const RETRY: Duration = Duration::from_secs(1);

/// A connection, as its calls see it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ConnectionId,
    /// Notified when the peer, told to call elsewhere, is ready to hear it.
    ready_to_leave: Arc<Notify>,
}

/// Given back when the answer is over.
#[derive(Debug)]
pub(super) struct StreamPlace {
    host: Host,
    stream: Stream,
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>, id: ConnectionId) -> Self {
        Self { shared, id, ready_to_leave: Arc::default() }
    }

    /// Finds a place for a call.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if too many calls are open.
    pub(super) fn place(&self, stream: Stream) -> Result<StreamPlace, Error> {
        let opened = self.shared.table().open_stream(self.id, &stream, Instant::now());
        opened.map_err(|full| Error::Full {
            what: full.what,
            limit: full.limit as u64,
            retry_after: RETRY,
        })?;
        Ok(StreamPlace { host: self.clone(), stream })
    }

    /// Notes that a call was answered.
    pub(super) fn answered(&self) {
        if self.shared.goaway.is_cancelled() {
            self.ready_to_leave.notify_one();
        }
    }

    /// Completes when the peer is to call elsewhere and has no open call, or has called anew.
    pub(super) async fn leaves(&self) {
        self.shared.goaway.cancelled().await;
        if self.shared.table().streams(self.id) > 0 {
            self.ready_to_leave.notified().await;
        }
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let Host { shared, id, .. } = &self.host;
        let mut table = shared.table();
        table.end_stream(*id, &self.stream, Instant::now());
        let (last, no_calls) = (table.streams(*id) == 0, table.calls() == 0);
        drop(table);
        if last {
            self.host.answered();
        }
        if no_calls {
            shared.no_calls.notify_waiters();
        }
    }
}
