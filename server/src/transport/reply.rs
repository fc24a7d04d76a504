//! The body of an answer: handed on in small pieces, and ended with a status when the server
//! stops.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::streams::Reading;
use crate::admission::{Memory, Unread};

/// Largest piece: what a peer that gives a window of one byte makes the connection hold.
const PIECE_BYTES: usize = 16 << 10;

/// An answer on its way to a peer.
///
/// * `G`: held until the answer is over.
pub(super) struct Reply<B, G> {
    /// `None` once it is over.
    body: Option<B>,
    /// What is left of a chunk that was larger than a piece.
    rest: Bytes,
    /// Counts the chunk until the connection has taken the last of it: pieces share its memory.
    unread: Option<Unread>,
    memory: Memory,
    reading: Arc<Reading>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    _guard: G,
}

impl<B, G> Reply<B, G> {
    /// * `stop`: ends the answer with [`stopped`] if it is not over yet.
    /// * `memory`: what waits for the peer counts against it.
    pub(super) fn new(
        body: B,
        reading: Arc<Reading>,
        stop: CancellationToken,
        memory: Memory,
        guard: G,
    ) -> Self {
        Self {
            body: Some(body),
            rest: Bytes::new(),
            unread: None,
            memory,
            reading,
            stopped: Box::pin(stop.cancelled_owned()),
            _guard: guard,
        }
    }

    /// Returns the next piece of the rest.
    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Frame::data(piece)
    }
}

impl<B, G> Reply<B, G>
where
    B: Body<Data = Bytes> + Unpin,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        self.unread = None;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.unread = Some(self.memory.unread(data.len() as u64));
                    self.rest = data;
                    self.piece()
                }
                Err(trailers) => trailers,
            }))),
            Poll::Ready(end) => {
                self.body = None;
                Poll::Ready(end)
            }
            Poll::Pending if self.stopped.as_mut().poll(cx).is_ready() => {
                self.body = None;
                Poll::Ready(Some(Ok(Frame::trailers(trailers(stopped())))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<B, G> Body for Reply<B, G>
where
    B: Body<Data = Bytes> + Unpin,
    G: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Asked again: the connection has taken what it was given.
        self.reading.set_waiting(None);
        let next = self.poll_next(cx);
        if next.is_ready() {
            self.reading.set_waiting(Some(Instant::now()));
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}

/// Returns the status of what a server cannot finish because it stops.
pub(super) fn stopped() -> Status {
    crate::error::Error::Stopped.into()
}

/// Returns the trailers that carry a status.
fn trailers(status: Status) -> HeaderMap {
    let mut headers = status.into_http::<()>().into_parts().0.headers;
    headers.remove(CONTENT_TYPE);
    headers
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;

    use super::*;

    /// A body of given chunks that then ends, or never does.
    struct Chunks(Vec<Bytes>, bool);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match (self.0.is_empty(), self.1) {
                (false, _) => Poll::Ready(Some(Ok(Frame::data(self.0.remove(0))))),
                (true, true) => Poll::Ready(None),
                (true, false) => Poll::Pending,
            }
        }
    }

    async fn next<B: Body + Unpin>(body: &mut B) -> Option<Frame<B::Data>> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        frame.ok()
    }

    #[tokio::test]
    async fn large_chunks_are_handed_on_in_pieces_and_nothing_is_lost() {
        let sent: Vec<u8> = (0..50_000_u32).map(|at| at as u8).collect();
        let chunks = Chunks(vec![sent.clone().into(), Bytes::from_static(b"end")], true);
        let memory = Memory::new(1 << 20);
        let stop = CancellationToken::new();
        let mut reply = Reply::new(chunks, Arc::default(), stop, memory.clone(), ());
        let mut got = Vec::new();
        while let Some(frame) = next(&mut reply).await {
            let data = frame.into_data().ok().unwrap();
            assert!(data.len() <= PIECE_BYTES);
            // A chunk counts until all of it was taken.
            let held = if got.len() < sent.len() { sent.len() } else { 3 };
            assert_eq!(memory.held().readers, held as u64);
            got.extend_from_slice(&data);
        }
        assert_eq!(got, [&sent[..], b"end"].concat());
        assert!(reply.is_end_stream());
        assert_eq!(memory.held().readers, 0);
    }

    #[tokio::test]
    async fn a_stop_ends_an_answer_with_a_status_after_what_is_ready() {
        let stop = CancellationToken::new();
        stop.cancel();
        let chunks = Chunks(vec![Bytes::from_static(b"ready")], false);
        let memory = Memory::new(1 << 20);
        let mut reply = Reply::new(chunks, Arc::default(), stop, memory, ());
        assert_eq!(next(&mut reply).await.unwrap().into_data().ok().unwrap(), "ready");
        let trailers = next(&mut reply).await.unwrap().into_trailers().ok().unwrap();
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!trailers.contains_key(CONTENT_TYPE));
        assert!(next(&mut reply).await.is_none());
    }
}
