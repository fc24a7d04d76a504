//! Requests to stop: SIGINT (Ctrl-C) or SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A request to stop a run, if any, and its signal. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Makes one that only [`Stop::request`] triggers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one that the first SIGINT or SIGTERM triggers. A second signal ends the process at
    /// once, with the exit status 128 + its number.
    ///
    /// # Errors
    ///
    /// The system's, if signals cannot be watched.
    pub fn on_signals() -> io::Result<Self> {
        let (stop, armed) = (Self::new(), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal arms the shutdown that the second one meets.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&stop.0), signal as usize)?;
        }
        Ok(stop)
    }

    /// Requests a stop as `signal`, which is not 0, would.
    pub fn request(&self, signal: i32) {
        self.0.store(signal as usize, Ordering::SeqCst);
    }

    /// Returns the signal that requested a stop, if any.
    #[must_use]
    pub fn requested(&self) -> Option<i32> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}
