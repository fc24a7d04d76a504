//! HTTP/2 frames and gRPC messages as bytes (RFC 9113, RFC 7541).

use prost::Message;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of RFC 9113, section 6")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flag of DATA and HEADERS.
pub const END_STREAM: u8 = 1;

/// Flag of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// Flag of SETTINGS and PING.
pub const ACK: u8 = 1;

/// Makes a frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = Vec::with_capacity(9 + payload.len());
    bytes.extend(&length[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Makes the header block of a call of `path`, without compression: every field is a literal that
/// is never indexed, so blocks may be sent in any order.
#[must_use]
pub fn headers(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fixed = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fixed.iter().chain(more) {
        block.push(0x10);
        for text in [name, value] {
            literal(text, &mut block);
        }
    }
    block
}

/// Appends a string with its length, RFC 7541, section 5.2, without Huffman's code.
fn literal(text: &str, block: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 0x7f {
        block.push(length as u8);
    } else {
        block.push(0x7f);
        length -= 0x7f;
        while length >= 0x80 {
            block.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        block.push(length as u8);
    }
    block.extend(text.as_bytes());
}

/// Makes a gRPC message: a flag, a length, the bytes.
#[must_use]
pub fn message(content: &impl Message) -> Vec<u8> {
    raw_message(&content.encode_to_vec())
}

/// Makes a gRPC message of bytes that need not be one.
#[must_use]
pub fn raw_message(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + content.len());
    bytes.push(0);
    bytes.extend((content.len() as u32).to_be_bytes());
    bytes.extend(content);
    bytes
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Frames(Vec<u8>);

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0: the connection.
    pub stream: u32,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Frames {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Returns the next whole frame.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.0.get(..9)?.try_into().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.0.get(9..9 + length)?.to_vec();
        self.0.drain(..9 + length);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }
}

/// Counts the whole gRPC messages in the data of a stream.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    head: Vec<u8>,
    /// Bytes of the current message that have not come.
    left: usize,
    /// Whole messages so far.
    pub whole: u64,
}

impl Messages {
    /// Takes what came; returns whether it ended a message.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let before = self.whole;
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (5 - self.head.len()).min(bytes.len());
                self.head.extend(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.head.len() < 5 {
                    continue;
                }
                let length = [self.head[1], self.head[2], self.head[3], self.head[4]];
                self.left = u32::from_be_bytes(length) as usize;
                self.head.clear();
            }
            if self.left == 0 && self.head.is_empty() {
                self.whole += 1;
            }
        }
        self.whole > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_wherever_the_bytes_are_cut() {
        let sent =
            [frame(kind::PING, 0, 0, b"12345678"), frame(kind::DATA, END_STREAM, 7, &[9; 300])];
        let mut frames = Frames::default();
        let mut got = Vec::new();
        for byte in sent.concat() {
            frames.feed(&[byte]);
            got.extend(frames.next_frame());
        }
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].kind, got[0].stream, &got[0].payload[..]), (6, 0, &b"12345678"[..]));
        assert_eq!((got[1].flags, got[1].stream, got[1].payload.len()), (END_STREAM, 7, 300));
    }

    #[test]
    fn messages_are_counted_when_their_last_byte_comes() {
        let bytes = [raw_message(b""), raw_message(b"abc"), raw_message(&[0; 200])].concat();
        let mut messages = Messages::default();
        let ends: Vec<usize> =
            (0..bytes.len()).filter(|at| messages.feed(&bytes[*at..=*at])).collect();
        assert_eq!(ends, [4, 12, 217]);
        let mut at_once = Messages::default();
        assert!(at_once.feed(&bytes));
        assert_eq!(at_once.whole, 3);
    }

    #[test]
    fn a_literal_of_127_bytes_has_a_length_of_two() {
        let mut block = Vec::new();
        literal(&"a".repeat(127), &mut block);
        assert_eq!((block[0], block[1], block.len()), (0x7f, 0, 129));
        block.clear();
        literal(&"a".repeat(1000), &mut block);
        // 1000 - 127 = 873 = 6 * 128 + 105.
        assert_eq!((block[0], block[1], block[2]), (0x7f, 0x80 | 105, 6));
    }
}
