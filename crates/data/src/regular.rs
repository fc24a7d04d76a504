//! Opens files without ever waiting: a FIFO, a socket or a device instead of a file is refused.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::bounded::read_at_most;

/// Opens a regular file for reading; returns its length in bytes too.
///
/// # Errors
///
/// The system's, or one that says what lies there instead of a file.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    // Without this flag, opening a FIFO waits for a writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let metadata = file.metadata()?;
    match kind(metadata.file_type()) {
        None => Ok((file, metadata.len())),
        Some(kind) => Err(io::Error::other(format!("it is {kind}, not a file"))),
    }
}

/// Reads a whole file of text, without the byte-order mark that it may begin with.
///
/// # Errors
///
/// As [`open`], or if it is not UTF-8 or has more than `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let bytes = read_at_most(open(path)?.0, limit)?
        .ok_or_else(|| invalid(format!("it has more than {limit} bytes")))?;
    let text = String::from_utf8(bytes).map_err(|cause| invalid(cause.to_string()))?;
    Ok(without_mark(text))
}

/// Removes the byte-order mark that a text may begin with.
pub(crate) fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// Says what something is that is not a regular file, as text that follows "it is"; `None` for a
/// file.
pub(crate) fn kind(file_type: FileType) -> Option<&'static str> {
    match file_type {
        _ if file_type.is_file() => None,
        _ if file_type.is_dir() => Some("a folder"),
        _ if file_type.is_fifo() => Some("a FIFO"),
        _ if file_type.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for (path, kind) in [
            (fifo.as_path(), "a FIFO"),
            (dir.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            assert!(open(path).unwrap_err().to_string().contains(kind));
        }
        std::fs::write(dir.path().join("file"), b"abc").unwrap();
        assert_eq!(open(&dir.path().join("file")).unwrap().1, 3);
    }
}
