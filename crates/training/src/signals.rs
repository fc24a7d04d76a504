//! Signals: requests to stop a run, or to save it and go on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ddpm_console::ignores_hangup;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::flag;

/// Signals of people and of systems that shut down; the same one again means impatience.
const STOP: [i32; 2] = [SIGINT, SIGTERM];

/// Signals that are repeated without meaning more: by the kernel every second once the limit of
/// processor time is reached, and by shells and systemd when the terminal is closed.
const STOP_ONCE: [i32; 2] = [SIGXCPU, SIGHUP];

/// Signals that batch systems send ahead of the end, such as Slurm's `--signal`.
const SAVE: [i32; 2] = [SIGUSR1, SIGUSR2];

/// What was requested of a run. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Number of the signal that requested a stop; 0: none.
    stop: Arc<AtomicUsize>,
    save: Arc<AtomicBool>,
}

impl Signals {
    /// Makes one that no signal triggers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes SIGUSR1 and SIGUSR2 request a checkpoint; otherwise they would end the process.
    ///
    /// # Errors
    ///
    /// The system's, if signals cannot be watched.
    pub fn watch_for_saves(&self) -> io::Result<()> {
        for signal in SAVE {
            flag::register(signal, Arc::clone(&self.save))?;
        }
        Ok(())
    }

    /// Makes SIGINT, SIGTERM, SIGXCPU and SIGHUP request a stop. The same one of SIGINT and SIGTERM
    /// again ends the process at once, with the exit status 128 + its number. Where SIGHUP is
    /// ignored from the start, as under `nohup`, it stays ignored.
    ///
    /// # Errors
    ///
    /// The system's, if signals cannot be watched.
    pub fn watch_for_stops(&self) -> io::Result<()> {
        let ignores_hangup = ignores_hangup();
        for signal in STOP {
            let armed = Arc::new(AtomicBool::new(false));
            // The order matters: the first signal arms the shutdown that the second one meets.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register(signal, armed)?;
            flag::register_usize(signal, Arc::clone(&self.stop), signal as usize)?;
        }
        for signal in STOP_ONCE.into_iter().filter(|signal| !(*signal == SIGHUP && ignores_hangup))
        {
            flag::register_usize(signal, Arc::clone(&self.stop), signal as usize)?;
        }
        Ok(())
    }

    /// Requests a stop as `signal`, which is not 0, would.
    pub fn request_stop(&self, signal: i32) {
        self.stop.store(signal as usize, Ordering::SeqCst);
    }

    /// Returns the signal that requested a stop, if any.
    #[must_use]
    pub fn stop_requested(&self) -> Option<i32> {
        match self.stop.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Requests a checkpoint after the current step.
    pub fn request_save(&self) {
        self.save.store(true, Ordering::SeqCst);
    }

    /// Returns whether a checkpoint was requested since the last call.
    #[must_use]
    pub fn take_save_request(&self) -> bool {
        self.save.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_every_clone_and_a_save_is_asked_for_once() {
        let signals = Signals::new();
        let other = signals.clone();
        assert_eq!((other.stop_requested(), other.take_save_request()), (None, false));
        signals.request_stop(15);
        signals.request_save();
        assert_eq!(other.stop_requested(), Some(15));
        assert_eq!([other.take_save_request(), signals.take_save_request()], [true, false]);
    }
}
