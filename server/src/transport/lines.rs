//! Follows the lines of HTTP/1.1 in the bytes that a peer sends. Pure.
//!
//! Where a body ends is not followed: an empty line is the end of a head, or of a chunked body, or
//! chance. What matters is that requests and tiny chunks have a price, and bodies hardly one.

/// Price of an empty line, which ends the head of a request: that of a control frame.
const EMPTY_LINE: f64 = 1.0;

/// Price of any other: a header, or half of a chunk of a body.
const LINE: f64 = 0.02;

/// Follows one connection.
#[derive(Debug, Default)]
pub(super) struct LineWatch {
    /// Whether the line that has begun has anything in it.
    in_line: bool,
    /// Whether an empty line has come after another one.
    greeted: bool,
    any_line: bool,
}

impl LineWatch {
    /// Returns whether the head of a request has come.
    pub(super) fn greeted(&self) -> bool {
        self.greeted
    }

    /// Follows bytes that were read; returns the price of the lines that end among them, in control
    /// frames.
    pub(super) fn read(&mut self, bytes: &[u8]) -> f64 {
        let mut price = 0.0;
        for byte in bytes {
            match byte {
                b'\n' => price += self.end_line(),
                b'\r' => {}
                _ => self.in_line = true,
            }
        }
        price
    }

    fn end_line(&mut self) -> f64 {
        if std::mem::take(&mut self.in_line) {
            self.any_line = true;
            return LINE;
        }
        self.greeted |= self.any_line;
        EMPTY_LINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_the_price_of_a_frame_however_its_lines_end() {
        for head in ["GET / HTTP/1.1\r\nhost: me\r\n\r\n", "GET / HTTP/1.1\nhost: me\n\n"] {
            let mut watch = LineWatch::default();
            let price = watch.read(head.repeat(100).as_bytes());
            assert!((price - 104.0).abs() < 1e-9, "{price}");
        }
    }

    #[test]
    fn tiny_chunks_have_a_price_too() {
        let mut watch = LineWatch::default();
        let price = watch.read("1\r\nx\r\n".repeat(1000).as_bytes());
        assert!((price - 40.0).abs() < 1e-9, "{price}");
    }

    #[test]
    fn a_peer_has_greeted_when_its_first_head_is_complete() {
        let mut watch = LineWatch::default();
        for byte in "\r\n\r\nGET / HTTP/1.1\r\nhost: me\r\n\r".bytes() {
            watch.read(&[byte]);
            assert!(!watch.greeted());
        }
        watch.read(b"\n");
        assert!(watch.greeted());
    }
}
