//! Makes batches ahead of time on a separate thread, so that the device never waits for data.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use crate::batching::batches::Batches;
use crate::batching::rows::Batch;
use crate::error::TrainError;

/// Batches that may wait. One in use, one ready and one in the making are enough.
const AHEAD: usize = 2;

/// The batches of consecutive steps, in order.
#[derive(Debug)]
pub struct Prefetch {
    ready: Option<Receiver<Result<Batch, TrainError>>>,
    maker: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts making the batches of `first..end`.
    #[must_use]
    pub fn start(batches: Batches, first: u32, end: u32) -> Self {
        let (sender, ready) = sync_channel(AHEAD);
        let maker = thread::spawn(move || {
            for step in first..end {
                if sender.send(batches.make(step)).is_err() {
                    break; // The receiver is gone.
                }
            }
        });
        Self { ready: Some(ready), maker: Some(maker) }
    }
}

impl Iterator for Prefetch {
    type Item = Result<Batch, TrainError>;

    /// Returns the next batch, or `None` after the last.
    ///
    /// # Panics
    ///
    /// If the thread that makes the batches has panicked.
    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        if batch.is_none()
            && let Some(Err(panic)) = self.maker.take().map(JoinHandle::join)
        {
            resume_unwind(panic);
        }
        batch
    }
}

impl Drop for Prefetch {
    /// Ends the thread, which may be waiting to send.
    fn drop(&mut self) {
        drop(self.ready.take());
        if let Some(maker) = self.maker.take() {
            // A panic was already printed, and its batches are no longer needed.
            let _ = maker.join();
        }
    }
}
