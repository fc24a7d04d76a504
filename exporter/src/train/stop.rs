//! Being asked to stop: SIGINT (Ctrl-C) or SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether, and by which signal, a run was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Nobody asks, unless by [`Stop::request`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first signal asks; the second ends the process at once, with 128 + its number.
    ///
    /// # Errors
    ///
    /// What the system says, if signals cannot be watched.
    pub fn on_signals() -> io::Result<Self> {
        let (stop, armed) = (Self::new(), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal arms what the second meets.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&stop.0), signal as usize)?;
        }
        Ok(stop)
    }

    /// Asks to stop as if by `signal`, which is not 0.
    pub fn request(&self, signal: i32) {
        self.0.store(signal as usize, Ordering::SeqCst);
    }

    /// The signal that asked, if any.
    #[must_use]
    pub fn requested(&self) -> Option<i32> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}
