//! Files that may be gzipped. Content decides, not the name: browsers unpack and rename downloads.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{DataError, regular};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// How files begin that are compressed in other ways.
const OTHERS: [(&[u8], &str); 5] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];

/// Opens a file, decompressing it if it is gzipped.
///
/// # Errors
///
/// [`DataError::Format`] if it is compressed in another way, [`DataError::Read`] if the system
/// fails to read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let (file, _) = regular::open(path).map_err(DataError::read(path))?;
    let mut file = BufReader::new(file);
    let head = file.fill_buf().map_err(DataError::read(path))?;
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        let problem =
            format!("it is compressed with {name}, which is not built in; unpack it, or use gzip");
        return Err(DataError::format(path, problem));
    }
    let gzipped = head.starts_with(&MAGIC);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
