//! Results on stdout.

use std::io::{self, Write, stdout};

/// Writes results to stdout. A reader that has seen enough, such as `head`, is not an error.
///
/// * `text`: whole lines, with their ends.
///
/// # Errors
///
/// The system's, if the results are lost: for example the disk behind stdout is full.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
