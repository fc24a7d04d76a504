//! Files that may be gzipped. Content decides, not the name: browsers unpack and rename downloads.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::DataError;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens a file, decompressing it if it is gzipped.
///
/// # Errors
///
/// [`DataError::Read`] if the system fails to read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file = BufReader::new(File::open(path).map_err(DataError::read(path))?);
    let gzipped = file.fill_buf().map_err(DataError::read(path))?.starts_with(&MAGIC);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
