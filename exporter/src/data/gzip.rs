//! Files that may be gzipped: the content says so, not the name, since browsers unpack and rename downloads.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens a file, and unpacks it on the way if it is gzipped.
///
/// # Errors
///
/// [`DataError::Read`] if the system refuses.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file = BufReader::new(File::open(path).map_err(DataError::read(path))?);
    let gzipped = file.fill_buf().map_err(DataError::read(path))?.starts_with(&MAGIC);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
