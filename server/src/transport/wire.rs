//! The bytes of a connection: nothing stays half done, and no flood takes the processor.
//!
//! Three things end a connection with an error: no greeting in time, a frame or header block that
//! stays incomplete, and writing that does not go on. A peer that sends more control frames than
//! it may is read more slowly. That is no error here, but what waits to be read may be its answer
//! to a PING of ours: if it stays so far ahead for the time of the keep-alive, it counts as gone.
//! And however much has come, connections are read in turns.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::bounds::Bounds;
use super::lines::Requests;
use super::table::FrameTokens;
use super::tokens::{PeerTokens, TokenBucket};
use super::watch::Watch;

/// Bytes that cost as much as a frame: what is sent is copied, measured and decoded, and a peer
/// that sends without pause would take a core for that.
const BYTES_PER_FRAME: f64 = 8192.0;

/// Most bytes that are read of a connection before the others have their turn: a fraction of a
/// millisecond of work.
const TURN_BYTES: usize = 64 << 10;

/// Most frames that are read of a connection before the others have their turn: all of a read
/// count, and a read of control frames is short.
const TURN_FRAMES: f64 = 16.0;

/// Bytes of a read while frames come that carry nothing: some ten of them.
const SHORT_READ: usize = 1 << 10;

/// A connection whose peer is watched.
pub(super) struct Wire<T> {
    io: T,
    turn: ReadTurn,
    watch: Watch,
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

/// What is left of a connection's turn: one that has much to read, and is always ready, would keep
/// the thread for itself.
#[derive(Debug, Clone, Copy)]
struct ReadTurn {
    bytes: usize,
    frames: f64,
    /// Bytes of the next read.
    next: usize,
}

impl ReadTurn {
    const NEW: Self = Self { bytes: TURN_BYTES, frames: TURN_FRAMES, next: TURN_BYTES };

    fn is_over(self) -> bool {
        self.bytes == 0 || self.frames <= 0.0
    }

    /// Begins the next one. What the peer sends now decides how it is read then.
    fn renew(&mut self) {
        *self = Self { next: self.next, ..Self::NEW };
    }

    /// Returns the bytes that may be read next.
    fn room(self) -> usize {
        self.next.min(self.bytes)
    }

    /// Counts a read and its frames.
    fn take(&mut self, bytes: usize, frames: f64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.frames -= frames;
        self.next = match frames > TURN_FRAMES / 4.0 {
            true => SHORT_READ,
            false => (2 * self.next).min(TURN_BYTES),
        };
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireBounds {
    /// The preface and SETTINGS, or the head of a request of HTTP/1.1.
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
    ///
    /// * `requests`: counts those of HTTP/1.1.
    pub(super) fn new(
        io: T,
        bounds: WireBounds,
        requests: Requests,
        tokens: Option<FrameTokens>,
        on_greeting: impl FnOnce() + Send + 'static,
    ) -> Self {
        let tokens = tokens.map(|peer| {
            let own = lock(&peer).share(Instant::now());
            (peer, own)
        });
        Self {
            io,
            turn: ReadTurn::NEW,
            watch: Watch::new(requests),
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
        let owed = self.watch.owed();
        let Some((peer, own)) = &mut self.tokens else { return Poll::Ready(()) };
        lock(peer).pay(own, owed, Instant::now());
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
        let frames = self.watch.read(bytes, now);
        self.turn.take(bytes.len(), frames);
        if let Some((peer, own)) = &mut self.tokens {
            lock(peer).pay(own, frames + bytes.len() as f64 / BYTES_PER_FRAME, now);
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
            (false, _) => (self.opened + self.bounds.greeting, "began no request"),
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
        if wire.turn.is_over() {
            wire.turn.renew();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = wire.turn.room().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        match Pin::new(&mut wire.io).poll_read(cx, &mut part) {
            Poll::Ready(Ok(())) => {
                wire.note(part.filled());
                let read = part.filled().len();
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Only now: what has come must be read before a peer is called slow.
            Poll::Pending => {
                wire.turn.renew();
                wire.poll_patience(cx).map(Err)
            }
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
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};

    use super::super::frames::tests::{frame, greeting};
    use super::super::tokens::SharedTokens;
    use super::*;

    const DATA: u8 = 0;
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
        (peer, Wire::new(io, BOUNDS, Requests::default(), tokens, || {}))
    }

    fn tokens(rate: f64) -> FrameTokens {
        let now = Instant::now();
        let server = Arc::new(Mutex::new(SharedTokens::new(1e9, 1e9, now)));
        let connections = SharedTokens::new(rate, 2.0 * rate, now);
        Arc::new(Mutex::new(PeerTokens::new(connections, server, now)))
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
        let wire = Wire::new(io, BOUNDS, Requests::default(), None, move || {
            noticed.store(true, Ordering::Relaxed);
        });
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
    async fn messages_beyond_the_burst_are_read_at_the_rate_too() {
        let (mut peer, wire) = wire(Some(tokens(100.0)));
        let data = frame(DATA, 0, 16_384).repeat(200);
        let (ended, ()) = tokio::join!(end(wire), async {
            peer.write_all(&[greeting(), data].concat()).await.unwrap();
            drop(peer);
        });
        ended.0.unwrap();
        // 400 times 8 KiB: 200 at once, and the next at 100 per second.
        let seconds = ended.1.as_secs_f64();
        assert!((1.9..2.1).contains(&seconds), "{seconds}");
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
        let mut wire = Wire::new(io, BOUNDS, Requests::default(), None, || {});
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

    /// Whether a task was woken.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Polls a connection that has much to read until it leaves the thread to others; returns the
    /// bytes that were read.
    fn one_turn(wire: &mut Wire<DuplexStream>) -> usize {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut read = 0;
        loop {
            let mut bytes = [0; 8192];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *wire).poll_read(&mut cx, &mut buffer) {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending => break,
            }
            read += buffer.filled().len();
        }
        assert!(woken.0.load(Ordering::Relaxed), "it goes on after the others");
        read
    }

    #[tokio::test]
    async fn connections_are_read_in_turns_however_much_has_come() {
        let (mut peer, mut wire) = wire(None);
        let body: Vec<u8> = (0..20).flat_map(|_| frame(DATA, 0, 16_384)).collect();
        peer.write_all(&[greeting(), body].concat()).await.unwrap();
        for _ in 0..4 {
            assert_eq!(one_turn(&mut wire), TURN_BYTES);
        }
    }

    #[tokio::test]
    async fn a_turn_is_short_while_frames_come_that_carry_nothing() {
        let (mut peer, mut wire) = wire(None);
        let ping = frame(PING, 0, 8);
        peer.write_all(&[greeting(), ping.repeat(10_000)].concat()).await.unwrap();
        one_turn(&mut wire);
        for _ in 0..10 {
            let pings = one_turn(&mut wire) / ping.len();
            assert!((16..80).contains(&pings), "{pings}");
        }
    }

    #[test]
    fn reads_are_short_while_frames_come_and_long_again_after_them() {
        let mut turn = ReadTurn::NEW;
        turn.take(100, 4.0);
        assert_eq!(turn.room(), TURN_BYTES - 100, "four frames are no flood");
        turn.take(100, 4.1);
        assert_eq!(turn.room(), SHORT_READ);
        turn.renew();
        assert_eq!(turn.room(), SHORT_READ, "in the next turn too");
        turn.take(SHORT_READ, 0.0);
        assert_eq!(turn.room(), 2 * SHORT_READ);
        turn.take(TURN_BYTES - SHORT_READ, 0.0);
        assert!(turn.is_over());
        turn.renew();
        turn.take(1, 15.9);
        assert!(!turn.is_over());
        turn.take(1, 0.1);
        assert!(turn.is_over());
    }

    #[tokio::test]
    async fn what_is_written_arrives_when_it_is_flushed_and_so_does_the_end() {
        let (mut peer, io) = duplex(64);
        let mut wire = Wire::new(BufWriter::new(io), BOUNDS, Requests::default(), None, || {});
        assert!(wire.is_write_vectored());
        let parts = [io::IoSlice::new(b"one, "), io::IoSlice::new(b"two")];
        assert_eq!(wire.write_vectored(&parts).await.unwrap(), 8);
        wire.flush().await.unwrap();
        let mut arrived = [0; 8];
        peer.read_exact(&mut arrived).await.unwrap();
        assert_eq!(&arrived, b"one, two");
        wire.write_all(b"three").await.unwrap();
        wire.shutdown().await.unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"three");
    }
}
