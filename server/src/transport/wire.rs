//! The bytes of a connection: nothing stays half done, and no flood takes the processor.
//!
//! Three things end a connection with an error: no greeting in time, a frame or header block that
//! stays incomplete, and writing that does not go on. A peer that sends more control frames than
//! it may is read more slowly. That is no error here, but what waits to be read may be its answer
//! to a PING of ours: if it stays so far ahead for the time of the keep-alive, it counts as gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::bounds::Bounds;
use super::frames::FrameWatch;
use super::table::FrameTokens;
use super::tokens::{PeerTokens, TokenBucket};

/// A connection whose peer is watched.
pub(super) struct Wire<T> {
    io: T,
    watch: FrameWatch,
    /// What pays for the peer's frames; `None` if nobody counts them.
    tokens: Option<(FrameTokens, TokenBucket)>,
    /// Told once, when the peer has greeted.
    on_greeting: Option<Box<dyn FnOnce() + Send>>,
    bounds: WireBounds,
    opened: Instant,
    /// Since when reading waits for tokens.
    paused: Option<Instant>,
    /// Since when the peer has taken nothing that we wrote.
    blocked: Option<Instant>,
    reads: Timer,
    writes: Timer,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireBounds {
    /// The preface and SETTINGS.
    pub(super) greeting: Duration,
    /// One frame, or one header block.
    pub(super) frame: Duration,
    /// Until the peer takes a byte.
    pub(super) write: Duration,
}

impl From<&Bounds> for WireBounds {
    fn from(bounds: &Bounds) -> Self {
        Self { greeting: bounds.greeting, frame: bounds.frame, write: bounds.stall }
    }
}

/// A timer that is made when it is first needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

fn lock(tokens: &FrameTokens) -> MutexGuard<'_, PeerTokens> {
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Wire<T> {
    /// Watches a connection that was accepted now.
    pub(super) fn new(
        io: T,
        bounds: WireBounds,
        tokens: Option<FrameTokens>,
        on_greeting: impl FnOnce() + Send + 'static,
    ) -> Self {
        let tokens = tokens.map(|peer| {
            let own = lock(&peer).share(Instant::now());
            (peer, own)
        });
        Self {
            io,
            watch: FrameWatch::new(),
            tokens,
            on_greeting: Some(Box::new(on_greeting)),
            bounds,
            opened: Instant::now(),
            paused: None,
            blocked: None,
            reads: Timer::default(),
            writes: Timer::default(),
        }
    }

    /// Waits until the peer's frames are paid for.
    fn poll_tokens(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((peer, own)) = &mut self.tokens else { return Poll::Ready(()) };
        loop {
            let now = Instant::now();
            let wait = lock(peer).wait(own, now);
            if wait.is_zero() {
                if let Some(since) = self.paused.take() {
                    self.watch.excuse(now - since);
                }
                return Poll::Ready(());
            }
            self.paused.get_or_insert(now);
            // A timer is exact to a millisecond.
            ready!(self.reads.poll_until(now + wait.max(Duration::from_millis(1)), cx));
        }
    }

    /// Follows what was read.
    fn note(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let price = self.watch.read(bytes, now);
        if let Some((peer, own)) = &mut self.tokens
            && price > 0.0
        {
            lock(peer).pay(own, price, now);
        }
        if self.watch.greeted()
            && let Some(tell) = self.on_greeting.take()
        {
            tell();
        }
    }

    /// Waits for the time at which the peer is too slow.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (deadline, what) = match (self.watch.greeted(), self.watch.incomplete_since()) {
            (false, _) => (self.opened + self.bounds.greeting, "sent no HTTP/2 greeting"),
            (true, Some(since)) => (since + self.bounds.frame, "sent half a frame"),
            (true, None) => return Poll::Pending,
        };
        ready!(self.reads.poll_until(deadline, cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, format!("the peer {what}")))
    }

    /// Notes the outcome of a write; fails once writing has not gone on for too long.
    fn poll_progress<R>(
        &mut self,
        written: Poll<io::Result<R>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let since = *self.blocked.get_or_insert_with(Instant::now);
        ready!(self.writes.poll_until(since + self.bounds.write, cx));
        let error = io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing");
        Poll::Ready(Err(error))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        ready!(wire.poll_tokens(cx));
        let before = buffer.filled().len();
        match Pin::new(&mut wire.io).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                wire.note(&buffer.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Only now: what has come must be read before a peer is called slow.
            Poll::Pending => wire.poll_patience(cx).map(Err),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.poll_progress(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.poll_progress(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.poll_progress(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.io).poll_shutdown(cx);
        self.poll_progress(closed, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::frames::tests::{frame, greeting};
    use super::*;

    const PING: u8 = 6;
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;

    const BOUNDS: WireBounds = WireBounds {
        greeting: Duration::from_secs(10),
        frame: Duration::from_secs(10),
        write: Duration::from_secs(30),
    };

    fn wire(tokens: Option<FrameTokens>) -> (DuplexStream, Wire<DuplexStream>) {
        let (peer, io) = duplex(1 << 20);
        (peer, Wire::new(io, BOUNDS, tokens, || {}))
    }

    fn tokens(rate: f64) -> FrameTokens {
        Arc::new(Mutex::new(PeerTokens::new(TokenBucket::new(rate, 2.0 * rate, Instant::now()))))
    }

    /// Reads until the connection ends; returns how, and after how long.
    async fn end(mut wire: Wire<DuplexStream>) -> (io::Result<usize>, Duration) {
        let start = Instant::now();
        let end = wire.read_to_end(&mut Vec::new()).await;
        (end, start.elapsed())
    }

    fn assert_slow((end, after): (io::Result<usize>, Duration), seconds: u64) {
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(after.as_secs(), seconds, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_greeting_ends() {
        let (mut peer, wire) = wire(None);
        let greeting = greeting();
        peer.write_all(&greeting[..greeting.len() - 1]).await.unwrap();
        assert_slow(end(wire).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_is_noticed_and_the_connection_may_then_be_silent() {
        let (mut peer, io) = duplex(1024);
        let greeted = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&greeted);
        let wire = Wire::new(io, BOUNDS, None, move || noticed.store(true, Ordering::Relaxed));
        peer.write_all(&greeting()).await.unwrap();
        let (ended, ()) = tokio::join!(end(wire), async {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert!(greeted.load(Ordering::Relaxed));
            drop(peer);
        });
        assert_eq!(ended.0.unwrap(), greeting().len());
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_header_block_ends_the_connection_however_it_drips() {
        let (mut peer, wire) = wire(None);
        let drip = async {
            peer.write_all(&greeting()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            peer.write_all(&frame(HEADERS, 0, 3)).await.unwrap();
            while peer.write_all(&frame(CONTINUATION, 0, 1)).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let (ended, ()) = tokio::join!(end(wire), drip);
        assert_slow(ended, 70);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_beyond_the_burst_are_read_at_the_rate() {
        let tokens = tokens(100.0);
        let (mut peer, wire) = wire(Some(Arc::clone(&tokens)));
        // The SETTINGS of the greeting is one of them.
        let flood: Vec<u8> = (0..999).flat_map(|_| frame(PING, 0, 8)).collect();
        let (ended, ()) = tokio::join!(end(wire), async {
            peer.write_all(&[greeting(), flood].concat()).await.unwrap();
            drop(peer);
        });
        ended.0.unwrap();
        // 200 at once, and the next at 100 per second. `read_to_end` reads in pieces that grow,
        // so the last piece may be paid after the end.
        let mut silent = tokens.lock().unwrap().share(Instant::now());
        silent.pay(1e6, Instant::now());
        let owed = tokens.lock().unwrap().wait(&mut silent, Instant::now());
        let total = (ended.1 + owed).as_secs_f64();
        assert!((8.0..8.2).contains(&total), "{total}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_for_tokens_is_no_slowness_of_the_peer() {
        let tokens = tokens(1.0);
        let (mut peer, mut wire) = wire(Some(Arc::clone(&tokens)));
        let half = frame(PING, 0, 8);
        peer.write_all(&[greeting(), half[..5].to_vec()].concat()).await.unwrap();
        let mut first = vec![0; greeting().len() + 5];
        wire.read_exact(&mut first).await.unwrap();
        let (_, own) = wire.tokens.as_mut().unwrap();
        tokens.lock().unwrap().pay(own, 31.0, Instant::now());
        // 30 s of debt, and then the rest is not there for 9 s.
        let (read, ()) = tokio::join!(wire.read_u8(), async {
            tokio::time::sleep(Duration::from_secs(39)).await;
            peer.write_all(&half[5..]).await.unwrap();
        });
        read.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_the_connection() {
        let (mut peer, io) = duplex(10);
        let mut wire = Wire::new(io, BOUNDS, None, || {});
        let start = Instant::now();
        let write = async {
            let written = wire.write_all(&[0; 30]).await;
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(start.elapsed().as_secs(), 59, "it took something after 29 s");
        };
        tokio::join!(write, async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            peer.read_exact(&mut [0; 10]).await.unwrap();
        });
    }
}
