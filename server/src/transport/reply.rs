//! The body of an answer: handed on in small pieces, and ended with a status when the server
//! stops.
//!
//! What the connection has taken still waits in it until the peer gives a window. So each piece
//! is a copy, counted until the connection drops it, and an answer is over only when the peer has
//! got all but [`SMALL_BYTES`] of it: until then it keeps its place and its time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

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

/// Bytes that may be left in the connection when an answer is over: the end of most calls is sent
/// together with their answer.
const SMALL_BYTES: usize = 512;

/// An answer on its way to a peer.
///
/// * `G`: held until the answer is over.
pub(super) struct Reply<B: Body, G> {
    /// `None` once it is over.
    body: Option<B>,
    /// What is left of a chunk that was larger than a piece.
    rest: Bytes,
    /// Counts the chunk, until the last of it is copied.
    unread: Option<Unread>,
    /// What comes last, once the peer has got what comes before.
    end: Option<End<B>>,
    sending: Arc<Sending>,
    memory: Memory,
    reading: Arc<Reading>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    _guard: G,
}

/// The last that a body gives: trailers, an error, or nothing.
type End<B> = Option<Result<Frame<Bytes>, <B as Body>::Error>>;

/// The pieces that wait in the connection.
#[derive(Debug, Default)]
struct Sending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// Woken when little is left.
    waker: Option<Waker>,
}

/// A piece of an answer, in memory of its own.
struct Piece {
    bytes: Box<[u8]>,
    sending: Arc<Sending>,
    _unread: Unread,
}

impl Sending {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the peer has got all but a little.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.lock();
        if waiting.bytes <= SMALL_BYTES {
            return Poll::Ready(());
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut waiting = self.sending.lock();
        waiting.bytes -= self.bytes.len();
        let waker = if waiting.bytes <= SMALL_BYTES { waiting.waker.take() } else { None };
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<B: Body, G> Reply<B, G> {
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
            end: None,
            sending: Arc::default(),
            memory,
            reading,
            stopped: Box::pin(stop.cancelled_owned()),
            _guard: guard,
        }
    }

    /// Returns the next piece of the rest: a copy, since a part of the chunk would keep all of it,
    /// and what else is in its allocation.
    fn piece(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        self.sending.lock().bytes += bytes.len();
        let piece = Piece {
            sending: Arc::clone(&self.sending),
            _unread: self.memory.unread(bytes.len() as u64),
            bytes: bytes[..].into(),
        };
        if self.rest.is_empty() {
            self.rest = Bytes::new();
            self.unread = None;
        }
        Frame::data(Bytes::from_owner(piece))
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
    B: Body<Data = Bytes, Error: Unpin> + Unpin,
    G: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.end.is_none() {
            // Asked again: the connection has taken what it was given.
            self.reading.set_waiting(None);
            let next = ready!(self.poll_next(cx));
            self.reading.set_waiting(Some(Instant::now()));
            match next {
                Some(Ok(frame)) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
                end => self.end = Some(end),
            }
        }
        ready!(self.sending.poll_sent(cx));
        Poll::Ready(self.end.take().flatten())
    }

    fn is_end_stream(&self) -> bool {
        let over = self.rest.is_empty() && self.end.is_none();
        over && self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl<B: Body, G> Drop for Reply<B, G> {
    /// Nothing of it waits any more. Over HTTP/1.1 the connection outlives it.
    fn drop(&mut self) {
        self.reading.set_waiting(None);
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
            got.extend_from_slice(&data);
            // A chunk counts until all of it was copied, and a piece until it is dropped.
            let chunk = if got.len() < sent.len() { sent.len() } else { 0 };
            assert_eq!(memory.held().readers, (chunk + data.len()) as u64);
        }
        assert_eq!(got, [&sent[..], b"end"].concat());
        assert!(reply.is_end_stream());
        assert_eq!(memory.held().readers, 0);
    }

    #[tokio::test]
    async fn an_answer_is_over_when_the_peer_has_got_all_but_a_little() {
        for (last, waits) in [(SMALL_BYTES, false), (SMALL_BYTES + 1, true)] {
            let chunks = Chunks(vec![vec![7; PIECE_BYTES + last].into()], true);
            let memory = Memory::new(1 << 20);
            let reading = Arc::<Reading>::default();
            let stop = CancellationToken::new();
            let mut reply = Reply::new(chunks, reading, stop, memory.clone(), ());
            next(&mut reply).await.unwrap();
            // Where a connection leaves it until the peer gives a window.
            let piece = next(&mut reply).await.unwrap();
            assert_eq!(memory.held().readers, last as u64, "the chunk is gone");
            let end = tokio::spawn(async move { next(&mut reply).await.is_none() });
            tokio::task::yield_now().await;
            assert_eq!(end.is_finished(), !waits, "{last}");
            drop(piece);
            assert_eq!(memory.held().readers, 0);
            assert!(end.await.unwrap());
        }
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
