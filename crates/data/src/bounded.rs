//! Reads that stop at a limit, whatever a file claims about its size.

use std::io::{self, Read};

/// Reads to the end; `None` if there are more than `limit` bytes.
pub(crate) fn read_at_most(file: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}
