//! The last step before the connection: one event waits there, with what it holds, and an
//! ending that needs no room, so a stream that is not read can be told why it ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use ddpm_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use crate::admission::Unread;

/// The client has left.
#[derive(Debug)]
pub(super) struct ClientLeft;

/// An event and the bytes that wait for the reader until it is taken.
type Waiting = (v1::GenerateEvent, Option<Unread>);

/// The stream's task puts events in here.
#[derive(Debug)]
pub(super) struct EventSender {
    waiting: mpsc::Sender<Waiting>,
    failure: Arc<Mutex<Option<Status>>>,
}

/// The connection takes events out here.
#[derive(Debug)]
pub(crate) struct Events {
    waiting: mpsc::Receiver<Waiting>,
    failure: Arc<Mutex<Option<Status>>>,
    /// Whether an event was taken at the last poll.
    taken: bool,
}

/// Creates a channel in which one event waits.
pub(super) fn channel() -> (EventSender, Events) {
    let (sender, receiver) = mpsc::channel(1);
    let failure = Arc::default();
    let events = Events { waiting: receiver, failure: Arc::clone(&failure), taken: false };
    (EventSender { waiting: sender, failure }, events)
}

impl EventSender {
    /// Waits until the event before this one has been taken, and puts this one in.
    ///
    /// # Errors
    ///
    /// [`ClientLeft`] if nobody takes events any longer.
    pub(super) async fn send(
        &self,
        event: v1::GenerateEvent,
        unread: Option<Unread>,
    ) -> Result<(), ClientLeft> {
        self.waiting.send((event, unread)).await.map_err(|_| ClientLeft)
    }

    /// Waits until nobody takes events any longer.
    pub(super) async fn closed(&self) {
        self.waiting.closed().await;
    }

    /// Ends the stream with a failure, after the event that still waits.
    pub(super) fn fail(self, status: Status) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }
}

impl Stream for Events {
    type Item = Result<v1::GenerateEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // What is ready goes to the connection in one piece, and a piece is taken or not. A piece
        // of several events would hide that a slow reader has got the first of them.
        if std::mem::take(&mut self.taken) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waiting.poll_recv(context).map(|next| match next {
            Some((event, _)) => {
                self.taken = true;
                Some(Ok(event))
            }
            None => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.take().map(Err)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn no_two_events_are_ready_at_once() {
        let (sender, mut events) = channel();
        sender.send(v1::GenerateEvent::default(), None).await.unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = |events: &mut Events| Pin::new(events).poll_next(&mut context);
        assert!(matches!(poll(&mut events), Poll::Ready(Some(Ok(_)))));
        // There is room again, so the next event waits already.
        sender.send(v1::GenerateEvent::default(), None).await.unwrap();
        assert!(poll(&mut events).is_pending(), "the piece ends with the first");
        assert!(matches!(poll(&mut events), Poll::Ready(Some(Ok(_)))));
        sender.fail(Status::unavailable("the end"));
        assert!(events.next().await.unwrap().is_err());
        assert!(events.next().await.is_none());
    }
}
