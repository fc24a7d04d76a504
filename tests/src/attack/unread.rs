//! Streams whose answers are not read, or a byte at a time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ddpm_proto::v1::GenerateRequest;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval, timeout_at};

use crate::attack::peer::Peer;
use crate::attack::wire::{
    END_HEADERS, END_STREAM, Frame, Messages, frame, headers, kind, message,
};

/// Bytes that a server may send on a stream before it must wait: enough for `accepted`, too few
/// for anything large.
const WINDOW: u32 = 4096;

/// One connection with streams that are not read. A request that is refused, because so many come
/// at once, is sent again.
#[derive(Debug)]
pub struct Unread {
    peer: Peer,
    streams: BTreeMap<u32, Stream>,
    /// The frames of a request, without the numbers of their streams.
    block: Vec<u8>,
    body: Vec<u8>,
    next: u32,
    /// Requests that were refused and wait to be sent again.
    refused: usize,
    opened: Instant,
    /// Whether each stream is granted a byte a second.
    trickles: bool,
}

#[derive(Debug, Clone, Default)]
struct Stream {
    messages: Messages,
    last_whole: Option<Instant>,
    ended: Option<(Instant, &'static str)>,
}

/// How a stream ended that was not read. Times are seconds since it was opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamEnd {
    /// Whole events that came.
    pub events: u64,
    /// When the last of them came; `None`: none did.
    pub last_event: Option<f64>,
    /// When the stream ended; `None`: it did not.
    pub ended: Option<f64>,
    /// By which frame, or `closed`: with its connection.
    pub how: Option<String>,
}

impl Unread {
    /// Sends a request on each of `count` streams of a new connection.
    ///
    /// * `trickles`: whether each stream is granted a byte a second, or none.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn open(
        server: SocketAddr,
        source: IpAddr,
        count: u32,
        trickles: bool,
        request: &GenerateRequest,
    ) -> io::Result<Self> {
        let mut unread = Self {
            peer: Peer::open(server, source, WINDOW).await?,
            streams: BTreeMap::new(),
            block: headers("/ddpm.v1.SamplingService/Generate", &[]),
            body: message(request),
            next: 1,
            refused: 0,
            opened: Instant::now(),
            trickles,
        };
        for _ in 0..count {
            unread.request().await?;
        }
        unread.opened = Instant::now();
        Ok(unread)
    }

    /// Sends the request on a new stream.
    async fn request(&mut self) -> io::Result<()> {
        let head = frame(kind::HEADERS, END_HEADERS, self.next, &self.block);
        let data = frame(kind::DATA, END_STREAM, self.next, &self.body);
        self.peer.send(&[head, data].concat()).await?;
        self.streams.insert(self.next, Stream::default());
        self.next += 2;
        Ok(())
    }

    /// Holds the streams until all have ended, or until `limit`.
    pub async fn hold(&mut self, limit: Instant) {
        let mut second = interval(Duration::from_secs(1));
        while self.refused > 0 || self.streams.values().any(|stream| stream.ended.is_none()) {
            let next = tokio::select! {
                next = timeout_at(limit, self.peer.next_frame()) => next,
                _ = second.tick() => {
                    if Instant::now() >= limit {
                        return;
                    }
                    if self.trickles {
                        self.grant().await;
                    }
                    for _ in 0..std::mem::take(&mut self.refused) {
                        // A closed connection is noticed when it is read.
                        let _ = self.request().await;
                    }
                    continue;
                }
            };
            match next {
                Err(_) => return,
                Ok(Ok(frame)) => self.take(&frame),
                Ok(Err(_)) => return self.closed(),
            }
        }
    }

    async fn grant(&mut self) {
        let open = self.streams.iter().filter(|(_, stream)| stream.ended.is_none());
        let one = 1_u32.to_be_bytes();
        let bytes: Vec<u8> =
            open.flat_map(|(number, _)| frame(kind::WINDOW_UPDATE, 0, *number, &one)).collect();
        // A closed connection is noticed when it is read.
        let _ = self.peer.send(&bytes).await;
    }

    fn take(&mut self, frame: &Frame) {
        let now = Instant::now();
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return };
        let how = match frame.kind {
            kind::DATA => {
                if stream.messages.feed(&frame.payload) {
                    stream.last_whole = Some(now);
                }
                "its data"
            }
            kind::HEADERS => "a status",
            kind::RST_STREAM => "a reset",
            _ => return,
        };
        let ends = frame.kind == kind::RST_STREAM || frame.flags & END_STREAM != 0;
        if !ends || stream.ended.is_some() {
            return;
        }
        if how == "a status" && stream.messages.whole == 0 {
            self.streams.remove(&frame.stream);
            self.refused += 1;
        } else {
            stream.ended = Some((now, how));
        }
    }

    fn closed(&mut self) {
        let now = Instant::now();
        let open = self.streams.values_mut().filter(|stream| stream.ended.is_none());
        open.for_each(|stream| stream.ended = Some((now, "closed")));
    }

    /// Returns what became of each stream.
    #[must_use]
    pub fn ends(&self) -> Vec<StreamEnd> {
        let since = |at: Instant| (at - self.opened).as_secs_f64();
        let end = |stream: &Stream| StreamEnd {
            events: stream.messages.whole,
            last_event: stream.last_whole.map(since),
            ended: stream.ended.map(|(at, _)| since(at)),
            how: stream.ended.map(|(_, how)| how.to_owned()),
        };
        self.streams.values().map(end).collect()
    }

    /// Returns how many streams have got a whole event, and how many have ended.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        let streams = || self.streams.values();
        let started = streams().filter(|stream| stream.messages.whole > 0).count();
        (started, streams().filter(|stream| stream.ended.is_some()).count())
    }
}
