//! One stream of a server, read to its end or to its break.

use ddpm_proto::v1;
use tokio::time::{Duration, Instant, timeout_at};

use crate::connection::Client;
use crate::error::Error;
use crate::events::Event;
use crate::protocol::Protocol;
use crate::request::Request;

/// How long after the deadline the server's last word may take to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// One stream of the server, and its state.
#[derive(Debug)]
pub(crate) struct Attempt {
    stream: tonic::Streaming<v1::GenerateEvent>,
    protocol: Protocol,
    last: Option<Event>,
    deadline: Option<Instant>,
}

impl Attempt {
    /// Opens a stream.
    ///
    /// * `deadline`: of the whole run; the server is told what is left of it.
    ///
    /// # Errors
    ///
    /// [`Error::DeadlinePassed`] if nothing is left; otherwise as [`Client::generate`].
    pub(crate) async fn open(
        client: &Client,
        request: &Request,
        deadline: Option<Instant>,
    ) -> Result<Self, Error> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::DeadlinePassed);
        }
        let stream = client.open(request, left).await?;
        Ok(Self { stream, protocol: Protocol::new(request), last: None, deadline })
    }

    /// Returns the next event with news. The last one is returned only once the
    /// stream has ended; until then it is kept, so that a caller who stops waiting
    /// does not lose it.
    ///
    /// # Errors
    ///
    /// [`Error::DeadlinePassed`] if the deadline is over and the server does not say so.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        let Some(deadline) = self.deadline else { return self.read().await };
        let end = deadline + GRACE;
        timeout_at(end, self.read()).await.unwrap_or(Err(Error::DeadlinePassed))
    }

    async fn read(&mut self) -> Result<Event, Error> {
        while self.last.is_none() {
            let message = self.stream.message().await;
            let event = message.map_err(|status| Error::from_status(&status))?;
            let event = event
                .ok_or_else(|| Error::Interrupted("it ended without `completed`".to_owned()))?;
            if let Some(event) = self.protocol.check(event)? {
                if !self.protocol.is_complete() {
                    return Ok(event);
                }
                self.last = Some(event);
            }
        }
        // All samples have arrived: a connection that breaks now loses nothing.
        if let Ok(Some(event)) = self.stream.message().await {
            self.protocol.check(event)?;
        }
        self.last
            .take()
            .ok_or_else(|| Error::Interrupted("it was already read to its end".to_owned()))
    }
}
