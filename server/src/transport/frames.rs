//! Follows the frames of HTTP/2 in the bytes that a peer sends. Pure; time is an input.
//!
//! A frame is 9 bytes (length, type, flags, stream) and its payload. A header block is a HEADERS
//! frame and the CONTINUATION frames after it, up to one with END_HEADERS; until then the
//! protocol allows nothing else on the connection.
//!
//! # Source
//!
//! RFC 9113, sections 3.4, 4.1 and 6.

use std::time::Duration;

use tokio::time::Instant;

/// What a client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The flag of HEADERS and CONTINUATION that ends a header block.
const END_HEADERS: u8 = 4;

/// Price of a frame that takes the processor and carries nothing.
const CONTROL_FRAME: f64 = 1.0;

/// Price of a frame that comes with the flow of data.
const FLOW_FRAME: f64 = 0.1;

/// A DATA frame of this many bytes and more costs nothing as a frame: its bytes have a price.
const SMALL_DATA_BYTES: usize = 256;

/// Bytes of headers that cost as much as a frame: they are decompressed.
const HEADER_BYTES_PER_FRAME: f64 = 1280.0;

/// Follows one connection from its first byte.
#[derive(Debug)]
pub(crate) struct FrameWatch {
    expects: Expects,
    greeted: bool,
    /// Whether a header block has begun and not ended.
    in_header_block: bool,
    /// When the first byte of what is incomplete came.
    since: Option<Instant>,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Expects {
    Preface { left: usize },
    Head { bytes: [u8; FRAME_HEAD_BYTES], known: usize },
    Payload { kind: u8, ends_block: bool, left: usize },
}

impl Expects {
    const HEAD: Self = Self::Head { bytes: [0; FRAME_HEAD_BYTES], known: 0 };
}

impl FrameWatch {
    pub(crate) fn new() -> Self {
        Self {
            expects: Expects::Preface { left: PREFACE.len() },
            greeted: false,
            in_header_block: false,
            since: None,
        }
    }

    /// Returns whether the preface and a SETTINGS frame have come.
    pub(crate) fn greeted(&self) -> bool {
        self.greeted
    }

    /// Returns when the first byte of the frame or header block came that is incomplete.
    pub(crate) fn incomplete_since(&self) -> Option<Instant> {
        self.since
    }

    /// Does not count a pause in which we did not read.
    pub(crate) fn excuse(&mut self, pause: Duration) {
        self.since = self.since.map(|since| since + pause);
    }

    /// Follows bytes that were read at `now`; returns the price of the frames whose heads end
    /// among them, in control frames.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: Instant) -> f64 {
        let mut price = 0.0;
        while !bytes.is_empty() {
            self.since.get_or_insert(now);
            match &mut self.expects {
                Expects::Preface { left } => {
                    skip(&mut bytes, left);
                    if *left == 0 {
                        self.expects = Expects::HEAD;
                        self.since = None;
                    }
                }
                Expects::Head { bytes: head, known } => {
                    let taken = bytes.len().min(FRAME_HEAD_BYTES - *known);
                    head[*known..*known + taken].copy_from_slice(&bytes[..taken]);
                    *known += taken;
                    bytes = &bytes[taken..];
                    if *known == FRAME_HEAD_BYTES {
                        let head = *head;
                        price += self.begin(head);
                    }
                }
                Expects::Payload { left, .. } => skip(&mut bytes, left),
            }
            self.end_frame();
        }
        price
    }

    /// Begins a frame; returns its price.
    fn begin(&mut self, head: [u8; FRAME_HEAD_BYTES]) -> f64 {
        let [high, middle, low, kind, flags, ..] = head;
        let left = u32::from_be_bytes([0, high, middle, low]) as usize;
        let ends_block = flags & END_HEADERS != 0;
        self.expects = Expects::Payload { kind, ends_block, left };
        match kind {
            DATA if left >= SMALL_DATA_BYTES => 0.0,
            DATA if left > 0 => FLOW_FRAME,
            WINDOW_UPDATE => FLOW_FRAME,
            HEADERS | CONTINUATION => CONTROL_FRAME + left as f64 / HEADER_BYTES_PER_FRAME,
            _ => CONTROL_FRAME,
        }
    }

    /// Ends the frame whose payload is complete.
    fn end_frame(&mut self) {
        let Expects::Payload { kind, ends_block, left: 0 } = self.expects else { return };
        self.expects = Expects::HEAD;
        match kind {
            HEADERS | CONTINUATION => self.in_header_block = !ends_block,
            SETTINGS => self.greeted = true,
            _ => {}
        }
        if !self.in_header_block {
            self.since = None;
        }
    }
}

/// Skips as many of the bytes as are left of something.
fn skip(bytes: &mut &[u8], left: &mut usize) {
    let taken = bytes.len().min(*left);
    *bytes = &bytes[taken..];
    *left -= taken;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const PING: u8 = 6;

    pub(in super::super) fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = (payload as u32).to_be_bytes();
        let head = [high, middle, low, kind, flags, 0, 0, 0, 1];
        head.into_iter().chain(std::iter::repeat_n(0, payload)).collect()
    }

    /// Preface and SETTINGS.
    pub(in super::super) fn greeting() -> Vec<u8> {
        [PREFACE, &frame(SETTINGS, 0, 0)].concat()
    }

    fn greeted(now: Instant) -> FrameWatch {
        let mut watch = FrameWatch::new();
        watch.read(&greeting(), now);
        watch
    }

    #[test]
    fn a_peer_has_greeted_once_its_preface_and_settings_are_complete() {
        let now = Instant::now();
        let mut watch = FrameWatch::new();
        let greeting = greeting();
        let (last, rest) = greeting.split_last().unwrap();
        watch.read(rest, now);
        assert!(!watch.greeted());
        watch.read(&[*last], now);
        assert!(watch.greeted());
        assert_eq!(watch.incomplete_since(), None);
    }

    #[test]
    fn prices_do_not_depend_on_how_bytes_are_cut() {
        let now = Instant::now();
        let bytes = [
            frame(HEADERS, END_HEADERS, 128),
            frame(DATA, 0, 1000),
            frame(DATA, 0, 0),
            frame(DATA, 0, 5),
            frame(WINDOW_UPDATE, 0, 4),
            frame(PING, 0, 8),
        ]
        .concat();
        // HEADERS with a tenth for their bytes, an empty DATA, a small one, a window, a ping.
        let expected = 1.1 + 1.0 + 0.1 + 0.1 + 1.0;
        for size in 1..=bytes.len() {
            let mut watch = greeted(now);
            let price: f64 = bytes.chunks(size).map(|chunk| watch.read(chunk, now)).sum();
            assert!((price - expected).abs() < 1e-9, "{price} in pieces of {size}");
            assert_eq!(watch.incomplete_since(), None, "in pieces of {size}");
        }
    }

    #[test]
    fn a_header_block_is_incomplete_until_end_headers_however_many_frames_come() {
        let start = Instant::now();
        let mut watch = greeted(start);
        for second in 0..5 {
            let kind = if second == 0 { HEADERS } else { CONTINUATION };
            watch.read(&frame(kind, 0, 10), start + Duration::from_secs(second));
            assert_eq!(watch.incomplete_since(), Some(start), "after {second} s");
        }
        watch.read(&frame(CONTINUATION, END_HEADERS, 10), start + Duration::from_secs(5));
        assert_eq!(watch.incomplete_since(), None);
    }

    #[test]
    fn a_frame_is_incomplete_from_its_first_byte_to_its_last() {
        let start = Instant::now();
        let mut watch = greeted(start);
        let data = frame(DATA, 0, 20);
        let later = start + Duration::from_secs(3);
        watch.read(&data[..1], start);
        watch.read(&data[1..28], later);
        assert_eq!(watch.incomplete_since(), Some(start));
        watch.excuse(Duration::from_secs(2));
        assert_eq!(watch.incomplete_since(), Some(start + Duration::from_secs(2)));
        // The next frame begins where this one ends.
        watch.read(&[&data[28..], &data[..1]].concat(), later);
        assert_eq!(watch.incomplete_since(), Some(later));
    }
}
