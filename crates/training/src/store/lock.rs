//! One process at a time writes a run.
//!
//! The system holds the lock for as long as the process lives, so nothing is left of it after a
//! crash, kill -9 included. The file says who holds it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ddpm_console::note;

use crate::error::CheckpointError;

/// Name of the file in the folder of a run.
const FILE: &str = ".lock";
/// Pause between two tries.
const POLL: Duration = Duration::from_millis(50);
/// Most bytes of the file that are shown.
const MOST_SHOWN: u64 = 1024;

/// The lock of a run, held until it is dropped.
#[derive(Debug)]
pub(crate) struct RunLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl RunLock {
    /// Takes the lock of a new run, and creates its folder if that does not exist.
    ///
    /// # Errors
    ///
    /// As [`RunLock::take`].
    pub(crate) fn take_new(run: &Path, patience: Duration) -> Result<Self, CheckpointError> {
        fs::create_dir_all(run).map_err(CheckpointError::write(run))?;
        Self::take(run, patience)
    }

    /// Returns whether the folder of a run was ever locked.
    pub(crate) fn exists(run: &Path) -> bool {
        run.join(FILE).exists()
    }

    /// Takes the lock of the run in a folder, which must exist.
    ///
    /// * `patience`: how long to wait for a process that is about to end.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Running`] names the process that holds it; [`CheckpointError::Write`] if
    /// the folder cannot be written.
    pub(crate) fn take(run: &Path, patience: Duration) -> Result<Self, CheckpointError> {
        let path = run.join(FILE);
        let opened =
            File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(CheckpointError::write(&path))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    let holder = read(&mut file);
                    return Err(CheckpointError::Running { run: run.into(), holder });
                }
                Err(TryLockError::Error(cause)) => {
                    note!(
                        "warning: {}: this file system has no locks ({cause}): make sure that no \
                         other process trains this run",
                        path.display()
                    );
                    break;
                }
            }
        }
        // Only people read it, so a full disk does not matter.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", this_process()));
        Ok(Self(file))
    }
}

fn this_process() -> String {
    let host = rustix::system::uname();
    format!("process {} on {}", std::process::id(), host.nodename().to_string_lossy())
}

fn read(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(MOST_SHOWN).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_name_of_the_first_until_that_ends() {
        let run = tempfile::tempdir().unwrap();
        let first = RunLock::take(run.path(), Duration::ZERO).unwrap();
        let message = RunLock::take(run.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(first);
        RunLock::take(run.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_restarted_process_waits_for_the_one_before_it_to_end() {
        let run = tempfile::tempdir().unwrap();
        let first = RunLock::take(run.path(), Duration::ZERO).unwrap();
        let path = run.path().to_owned();
        let second = thread::spawn(move || RunLock::take(&path, Duration::from_secs(60)));
        thread::sleep(2 * POLL);
        drop(first);
        second.join().unwrap().unwrap();
    }
}
