//! Notes on stderr, which never fail work.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, Write, stderr};
use std::sync::{Mutex, PoisonError};

/// Most bytes of notes kept until [`copy_notes_to`] names a file for them.
const MOST_EARLY: usize = 64 << 10;

/// Copies of the notes of this process.
struct Copies {
    file: Option<File>,
    /// Notes from before there was a file.
    early: Vec<u8>,
}

static COPIES: Mutex<Copies> = Mutex::new(Copies { file: None, early: Vec::new() });

/// Writes a line to stderr; if that is not possible, work goes on without it.
///
/// The line is one write, so lines of several processes do not run into each other.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => {
        $crate::write_note(::std::format_args!($($argument)*))
    };
}

/// Writes a note; [`note!`] is its usual form.
pub fn write_note(note: Arguments<'_>) {
    let line = format!("{note}\n");
    // Nobody is left to hear of an error.
    let _ = stderr().write_all(line.as_bytes());
    copy(line.as_bytes());
}

/// Writes what a person must read when the program ends: to stderr or, if its reader is gone, to
/// the terminal that the program was started from. `train 2>&1 | tee log` ends that way: Ctrl-C
/// ends `tee` too.
pub fn last_note(note: Arguments<'_>) {
    let line = format!("{note}\n");
    if stderr().write_all(line.as_bytes()).is_err() {
        let terminal = File::options().write(true).open("/dev/tty");
        let _ = terminal.and_then(|mut terminal| terminal.write_all(line.as_bytes()));
    }
    copy(line.as_bytes());
}

/// Appends all notes of this process to `file` too, those so far included.
pub fn copy_notes_to(mut file: File) {
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = file.write_all(&copies.early);
    copies.early = Vec::new();
    copies.file = Some(file);
}

fn copy(line: &[u8]) {
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let Copies { file, early } = &mut *copies;
    match file {
        Some(file) => {
            let _ = file.write_all(line);
        }
        None if early.len() + line.len() <= MOST_EARLY => early.extend(line),
        None => {}
    }
}

/// Stderr for loggers: it takes every line, and forgets what cannot be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct LossyStderr;

impl Write for LossyStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_logger_is_told_that_everything_is_written() {
        assert_eq!(LossyStderr.write(b"").unwrap(), 0);
        assert_eq!(LossyStderr.write(b"a line of a log\n").unwrap(), 16);
    }

    #[test]
    fn a_file_gets_the_notes_from_before_it_was_named_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        note!("before {}", 1);
        copy_notes_to(File::options().append(true).create(true).open(&path).unwrap());
        last_note(format_args!("after"));
        assert_eq!(fs::read_to_string(path).unwrap(), "before 1\nafter\n");
    }
}
