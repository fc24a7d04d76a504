//! Puts one message together from the pieces of a body.

use std::pin::pin;

use bytes::{Buf, Bytes};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::rooms::Share;
use super::{BodyTimes, BoxError};
use crate::error::Error;

/// Bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// Smallest buffer, in bytes.
const FIRST_BYTES: usize = 1024;

/// A whole message with its prefix, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    share: Share,
}

/// What a body is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes of the message.
    pub(super) max: usize,
    pub(super) times: BodyTimes,
    /// When the client stops waiting.
    pub(super) deadline: Option<std::time::Instant>,
}

/// A message that is arriving.
#[derive(Debug)]
struct Assembly {
    bytes: Vec<u8>,
    share: Share,
    /// Most bytes of the message.
    max: usize,
}

impl Message {
    /// A message of its prefix and content, in memory that `share` holds.
    pub(super) fn new(bytes: Vec<u8>, share: Share) -> Self {
        Self { bytes, share }
    }

    pub(super) fn compressed(&self) -> bool {
        self.bytes.first().is_some_and(|flag| *flag == 1)
    }

    /// Returns the bytes of the content.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(PREFIX)
    }

    /// Returns the bytes with the prefix, and their memory.
    pub(super) fn into_parts(self) -> (Bytes, Share) {
        (self.bytes.into(), self.share)
    }

    /// Returns the bytes of the content, and the memory.
    pub(super) fn into_content(self) -> (Bytes, Share) {
        let (mut bytes, share) = self.into_parts();
        bytes.advance(PREFIX.min(bytes.len()));
        (bytes, share)
    }
}

/// Collects the one message of a body.
///
/// * `share`: holds the memory as the message arrives.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::Full`], [`Error::BodyTimeout`], [`Error::DeadlinePassed`], or
/// [`Error::Undecodable`] if it is not exactly one message.
pub(super) async fn collect<B>(body: B, share: Share, bounds: Bounds) -> Result<Message, Error>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut assembly = Assembly { bytes: Vec::new(), share, max: bounds.max };
    let began = Instant::now();
    let mut last_byte = began;
    loop {
        let (end, late) = bounds.end(began, last_byte);
        let frame = timeout_at(end, body.frame()).await.map_err(|_| late)?;
        match frame {
            None => return assembly.finish(),
            Some(Err(error)) => {
                let error: BoxError = error.into();
                return Err(Error::Undecodable(format!("the stream broke: {error}")));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                // Empty pieces are no progress.
                if !data.is_empty() {
                    assembly.push(&data)?;
                    last_byte = Instant::now();
                }
            }
        }
    }
}

impl Bounds {
    /// Returns when the wait for the next piece ends, and what is wrong then.
    fn end(&self, began: Instant, last_byte: Instant) -> (Instant, Error) {
        let BodyTimes { whole, pause, .. } = self.times;
        let (end, what, limit) = match began + whole <= last_byte + pause {
            true => (began + whole, "the whole of it", whole),
            false => (last_byte + pause, "its next byte", pause),
        };
        match self.deadline.map(Instant::from_std) {
            Some(deadline) if deadline < end => (deadline, Error::DeadlinePassed),
            _ => (end, Error::BodyTimeout { what, limit }),
        }
    }
}

impl Assembly {
    /// Adds a piece.
    fn push(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        if self.bytes.len() < PREFIX {
            let (head, rest) = piece.split_at(piece.len().min(PREFIX - self.bytes.len()));
            self.append(head, PREFIX)?;
            piece = rest;
        }
        let Some(len) = self.announced()? else { return Ok(()) };
        let whole = PREFIX + len;
        if piece.len() > whole - self.bytes.len() {
            let fault = "the body goes on after its message, and this method takes one";
            return Err(Error::Undecodable(fault.into()));
        }
        self.append(piece, whole)
    }

    /// Returns the length of the content, once the prefix is there.
    fn announced(&self) -> Result<Option<usize>, Error> {
        let Some([flag, len @ ..]) = self.bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        if *flag > 1 {
            let fault = format!("a message begins with 0, or 1 if it is compressed, not {flag}");
            return Err(Error::Undecodable(fault));
        }
        let len = u32::from_be_bytes(*len) as usize;
        if len > self.max {
            return Err(Error::TooLarge { limit: self.max as u64 });
        }
        Ok(Some(len))
    }

    /// Appends bytes to a buffer that doubles, and never holds more than `whole`.
    fn append(&mut self, piece: &[u8], whole: usize) -> Result<(), Error> {
        append(&mut self.bytes, piece, whole, &mut self.share, 0)
    }

    fn finish(self) -> Result<Message, Error> {
        let fault = match self.announced()? {
            None if self.bytes.is_empty() => "the body has no message".into(),
            None => "the body ends within the prefix of its message".into(),
            Some(len) if self.bytes.len() < PREFIX + len => {
                let got = self.bytes.len() - PREFIX;
                format!("the body ends after {got} of {len} bytes of its message")
            }
            Some(_) => return Ok(Message::new(self.bytes, self.share)),
        };
        Err(Error::Undecodable(fault))
    }
}

/// Appends a piece to a buffer that doubles, up to `most` bytes unless the piece needs more.
///
/// * `share`: holds the buffer's memory, and `beside` bytes more.
///
/// # Errors
///
/// [`Error::Full`] or [`Error::Draining`].
pub(super) fn append(
    buffer: &mut Vec<u8>,
    piece: &[u8],
    most: usize,
    share: &mut Share,
    beside: usize,
) -> Result<(), Error> {
    let needed = buffer.len() + piece.len();
    if needed > buffer.capacity() {
        let capacity = (2 * buffer.capacity()).max(FIRST_BYTES).min(most).max(needed);
        share.grow_to((beside + capacity) as u64)?;
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(piece);
    Ok(())
}
