//! Follows HTTP/1.1 in the bytes that a peer sends. Pure.
//!
//! Where heads and bodies end is the parser's business; it counts the requests, each of which has
//! the price of a control frame. What is left to follow here are ends of lines: headers, and the
//! chunks of a body, of which tiny ones would otherwise come for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Price of a request, in control frames.
const REQUEST: f64 = 1.0;

/// Price of CR and LF in a row: a header, or half of a chunk. In a picture they are chance.
const LINE: f64 = 0.02;

/// The number of requests that were parsed on a connection of HTTP/1.1.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<AtomicU64>);

impl Requests {
    /// Counts one.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct LineWatch {
    requests: Requests,
    /// Of these, how many have been paid for.
    paid: u64,
    /// Whether the last byte was a CR.
    after_cr: bool,
}

impl LineWatch {
    pub(super) fn new(requests: Requests) -> Self {
        Self { requests, paid: 0, after_cr: false }
    }

    /// Returns whether a request has come.
    pub(super) fn greeted(&self) -> bool {
        self.requests.number() > 0
    }

    /// Returns the price of the requests that have been parsed since the last time.
    pub(super) fn owed(&mut self) -> f64 {
        let number = self.requests.number();
        let new = number - self.paid;
        self.paid = number;
        new as f64 * REQUEST
    }

    /// Follows bytes that were read; returns the price of the lines that end among them, in control
    /// frames.
    pub(super) fn read(&mut self, bytes: &[u8]) -> f64 {
        let mut lines = 0_u32;
        for byte in bytes {
            lines += u32::from(self.after_cr && *byte == b'\n');
            self.after_cr = *byte == b'\r';
        }
        f64::from(lines) * LINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_paid_for_once() {
        let requests = Requests::default();
        let mut watch = LineWatch::new(requests.clone());
        assert!(!watch.greeted());
        requests.count();
        requests.count();
        assert!(watch.greeted());
        assert_eq!([watch.owed(), watch.owed()], [2.0, 0.0]);
        requests.count();
        assert_eq!(watch.owed(), 1.0);
    }

    #[test]
    fn tiny_chunks_have_a_price_however_they_are_cut() {
        let chunks = "1\r\nx\r\n".repeat(1000);
        for step in [1, 2, 5, 6000] {
            let mut watch = LineWatch::new(Requests::default());
            let price: f64 = chunks.as_bytes().chunks(step).map(|part| watch.read(part)).sum();
            assert!((price - 40.0).abs() < 1e-9, "{step}: {price}");
        }
    }

    #[test]
    fn pixels_of_any_value_have_none() {
        for value in 0..=255 {
            assert_eq!(LineWatch::new(Requests::default()).read(&[value; 65536]), 0.0, "{value}");
        }
    }
}
