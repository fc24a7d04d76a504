//! A file that many threads read at once, each at its own position.

use std::fs::File;
use std::io::{self, Error, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A reader of one file; a clone shares the file but has its own position.
#[derive(Debug, Clone)]
pub(crate) struct Positioned {
    file: Arc<File>,
    length: u64,
    at: u64,
}

impl Positioned {
    /// Reads `file`, which has `length` bytes, from its start.
    pub(crate) fn new(file: File, length: u64) -> Self {
        Self { file: Arc::new(file), length, at: 0 }
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "before the start"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_read_one_file_at_their_own_positions() {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), b"0123456789").unwrap();
        let mut one = Positioned::new(File::open(path.path()).unwrap(), 10);
        let mut other = one.clone();
        one.seek(SeekFrom::Start(2)).unwrap();
        other.seek(SeekFrom::End(-3)).unwrap();
        let mut two = [0; 2];
        one.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"23");
        let mut rest = Vec::new();
        other.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"789");
        assert!(one.seek(SeekFrom::Current(-5)).is_err());
    }
}
