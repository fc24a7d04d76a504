//! Decompresses a message, within a bound on what it becomes.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use http::HeaderValue;

use super::assembly::{Message, PREFIX, append};
use super::rooms::Share;
use crate::error::{Error, shorten};

/// Bytes that are decompressed at a time.
const PIECE: usize = 16 << 10;

/// How a message is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    /// In zlib's format.
    Deflate,
}

impl Encoding {
    /// The names of all of them, as a header lists them.
    pub(super) const KNOWN: &'static str = "identity,gzip,deflate";

    /// Reads the name in a header.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEncoding`].
    pub(super) fn of_name(name: &HeaderValue) -> Result<Self, Error> {
        match name.as_bytes() {
            b"identity" => Ok(Self::Identity),
            b"gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            other => {
                let encoding = shorten(&String::from_utf8_lossy(other));
                Err(Error::UnknownEncoding { encoding })
            }
        }
    }
}

/// Decompresses a message.
///
/// * `max`: most bytes that it may become.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::Full`], or [`Error::Undecodable`] if it is not compressed so.
pub(super) fn inflate(message: Message, encoding: Encoding, max: usize) -> Result<Message, Error> {
    let (content, mut share) = message.into_content();
    let bytes = match encoding {
        Encoding::Identity => {
            let fault = "the message is marked as compressed, and grpc-encoding names no way";
            return Err(Error::Undecodable(fault.into()));
        }
        Encoding::Gzip => {
            let mut decoder = GzDecoder::new(&content[..]);
            let bytes = read(&mut decoder, content.len(), max, &mut share)?;
            nothing_after(decoder.into_inner())?;
            bytes
        }
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(&content[..]);
            let bytes = read(&mut decoder, content.len(), max, &mut share)?;
            nothing_after(decoder.into_inner())?;
            bytes
        }
    };
    drop(content);
    share.shrink_to(bytes.capacity() as u64);
    Ok(Message::new(bytes, share))
}

/// Reads all that a decoder makes, behind the prefix of an uncompressed message.
///
/// * `beside`: bytes of memory that are in use meanwhile.
fn read(
    decoder: &mut impl Read,
    beside: usize,
    max: usize,
    share: &mut Share,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    append(&mut bytes, &[0; PREFIX], PREFIX + max, share, beside)?;
    let mut piece = [0; PIECE];
    loop {
        let count = decoder.read(&mut piece).map_err(|error| {
            Error::Undecodable(format!("the message cannot be decompressed: {error}"))
        })?;
        if count == 0 {
            break;
        }
        if bytes.len() - PREFIX + count > max {
            return Err(Error::TooLarge { limit: max as u64 });
        }
        append(&mut bytes, &piece[..count], PREFIX + max, share, beside)?;
    }
    let len = u32::try_from(bytes.len() - PREFIX);
    let len = len.map_err(|_| Error::TooLarge { limit: max as u64 })?;
    bytes[1..PREFIX].copy_from_slice(&len.to_be_bytes());
    Ok(bytes)
}

fn nothing_after(rest: &[u8]) -> Result<(), Error> {
    if rest.is_empty() {
        return Ok(());
    }
    let fault = format!("{} bytes follow the compressed message", rest.len());
    Err(Error::Undecodable(fault))
}
