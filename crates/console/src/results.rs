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
    print_to(&mut stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn results_are_lost_on_a_full_disk_but_not_on_a_reader_that_has_seen_enough() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        print_to(&mut writer, "a\n").unwrap();
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let error = print_to(&mut full, "a\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let mut out = Vec::new();
        print_to(&mut out, "a\nb\n").unwrap();
        assert_eq!(out, b"a\nb\n");
    }
}
