//! Records appended to a log whole or not at all.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Appends a record. If the disk fills up in the middle, the part that was written is removed, so
/// that later records can still be read.
///
/// # Errors
///
/// The system's.
pub(super) fn append_whole(file: &mut File, record: &[u8]) -> io::Result<()> {
    // Devices and FIFOs have no end.
    let end = file.seek(SeekFrom::End(0)).ok();
    file.write_all(record).inspect_err(|_| {
        if let Some(end) = end {
            // If this fails too, readers skip the damaged end.
            let _ = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        }
    })
}
