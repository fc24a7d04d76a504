//! The body of a stream of messages, which ends if its client says nothing for too long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::{BodyTimes, BoxError};
use crate::error::Error;

/// A body with a bound on its time, and on the time between two bytes of it.
pub(super) struct Timed<B> {
    body: Pin<Box<B>>,
    times: BodyTimes,
    began: Instant,
    last_byte: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<B> Timed<B> {
    /// Bounds a body that begins now.
    pub(super) fn new(body: B, times: BodyTimes) -> Self {
        let now = Instant::now();
        let sleep = Box::pin(sleep_until(now + times.stream_pause));
        Self { body: Box::pin(body), times, began: now, last_byte: now, sleep }
    }

    /// Waits until the body has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let BodyTimes { stream, stream_pause, .. } = self.times;
        let whole = self.began + stream <= self.last_byte + stream_pause;
        let (end, what, limit) = match whole {
            true => (self.began + stream, "all its messages", stream),
            false => (self.last_byte + stream_pause, "the next one", stream_pause),
        };
        if self.sleep.deadline() != end {
            self.sleep.as_mut().reset(end);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Error::BodyTimeout { what, limit })
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Also when there is something: a client that sends nothing but empty pieces is late.
        if let Poll::Ready(late) = self.poll_late(cx) {
            return Poll::Ready(Some(Err(Status::from(late).into())));
        }
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && frame.data_ref().is_some_and(|data| !data.is_empty())
        {
            self.last_byte = Instant::now();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http_body_util::{BodyExt, Channel};
    use tokio::time::sleep;
    use tonic::Code;

    use super::*;

    /// Sends pieces of some bytes, each after a pause, until the body fails; returns after how
    /// many seconds it did.
    async fn end(pause: u64, bytes: usize) -> u64 {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        let mut body = Timed::new(body, BodyTimes::default());
        let began = Instant::now();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(pause)).await;
                if sender.send_data(vec![0; bytes].into()).await.is_err() {
                    return;
                }
            }
        });
        let error = loop {
            if let Err(error) = body.frame().await.unwrap() {
                break error;
            }
        };
        let status = Status::from_error(error);
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_nothing_comes_for_too_long() {
        assert_eq!(end(61, 1).await, 60);
        assert_eq!(end(7, 0).await, 60, "empty pieces are nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_all_of_it_takes_too_long() {
        assert_eq!(end(59, 1).await, 600);
    }
}
