//! Follows what a peer sends, whichever version of HTTP it speaks. Pure; time is an input.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::{FrameWatch, PREFACE};
use super::lines::{LineWatch, Requests};

/// Follows one connection from its first byte.
#[derive(Debug)]
pub(super) enum Watch {
    /// So far, the peer has sent so many bytes of the preface of HTTP/2.
    Undecided(FrameWatch, usize, Requests),
    Http2(FrameWatch),
    Http1(LineWatch),
}

impl Watch {
    /// * `requests`: counts those of HTTP/1.1, should it be that.
    pub(super) fn new(requests: Requests) -> Self {
        Self::Undecided(FrameWatch::new(), 0, requests)
    }

    /// Returns whether the peer has sent what begins a connection: the preface and SETTINGS, or the
    /// head of a request.
    pub(super) fn greeted(&self) -> bool {
        match self {
            Self::Undecided(..) => false,
            Self::Http2(frames) => frames.greeted(),
            Self::Http1(lines) => lines.greeted(),
        }
    }

    /// Returns when the first byte of the frame or header block came that is incomplete. The parser
    /// of HTTP/1.1 has a limit of its own.
    pub(super) fn incomplete_since(&self) -> Option<Instant> {
        match self {
            Self::Undecided(frames, ..) | Self::Http2(frames) => frames.incomplete_since(),
            Self::Http1(_) => None,
        }
    }

    /// Does not count a pause in which we did not read. The parser of HTTP/1.1 does count it: who
    /// owes more than its limit loses the connection.
    pub(super) fn excuse(&mut self, pause: Duration) {
        match self {
            Self::Undecided(frames, ..) | Self::Http2(frames) => frames.excuse(pause),
            Self::Http1(_) => {}
        }
    }

    /// Returns the price of what was found in earlier bytes since the last time.
    pub(super) fn owed(&mut self) -> f64 {
        match self {
            Self::Undecided(..) | Self::Http2(_) => 0.0,
            Self::Http1(lines) => lines.owed(),
        }
    }

    /// Follows bytes that were read at `now`; returns their price, in control frames.
    pub(super) fn read(&mut self, bytes: &[u8], now: Instant) -> f64 {
        if let Self::Undecided(frames, matched, requests) = self {
            let expected = &PREFACE[*matched..];
            let common = bytes.iter().zip(expected).take_while(|(a, b)| a == b).count();
            *matched += common;
            let frames = std::mem::replace(frames, FrameWatch::new());
            let requests = requests.clone();
            *self = match (common < bytes.len(), *matched == PREFACE.len()) {
                (_, true) => Self::Http2(frames),
                (false, false) => Self::Undecided(frames, *matched, requests),
                (true, false) => Self::Http1(LineWatch::new(requests)),
            };
        }
        match self {
            Self::Undecided(frames, ..) | Self::Http2(frames) => frames.read(bytes, now),
            Self::Http1(lines) => lines.read(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::{frame, greeting};
    use super::*;

    #[test]
    fn http_2_is_known_by_its_preface_however_it_is_cut() {
        for step in [1, 5, 100] {
            let mut watch = Watch::new(Requests::default());
            for bytes in greeting().chunks(step) {
                watch.read(bytes, Instant::now());
            }
            assert!(matches!(watch, Watch::Http2(_)) && watch.greeted(), "{step}");
            let price = watch.read(&frame(6, 0, 8), Instant::now());
            assert!((price - 1.0).abs() < 1e-9, "{price}");
            assert_eq!(watch.owed(), 0.0);
        }
    }

    #[test]
    fn anything_else_is_http_1_even_if_it_begins_like_the_preface() {
        for head in ["GET / HTTP/1.1\r\n\r\n", "PRINT / HTTP/1.1\r\n\r\n", "PRI * HTTP/1\r\n\r\n"] {
            for step in [1, 3, 100] {
                let requests = Requests::default();
                let mut watch = Watch::new(requests.clone());
                for bytes in head.as_bytes().chunks(step) {
                    watch.read(bytes, Instant::now());
                }
                assert!(matches!(watch, Watch::Http1(_)) && !watch.greeted(), "{head:?} {step}");
                requests.count();
                assert!(watch.greeted());
                assert_eq!((watch.owed(), watch.incomplete_since()), (1.0, None));
            }
        }
    }
}
