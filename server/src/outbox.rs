//! The bounded buffer between the engine and one stream.
//!
//! Finished samples are never dropped: when their bytes reach the limit, the request is
//! not scheduled until its reader has caught up. Previews either queue in the same way,
//! or the latest of each sample replaces an older one. So nothing grows without bound,
//! and no stream slows another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;

/// A sample in the model's scale and layout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    pub(crate) index: u64,
    /// `None` if one of them is not finite.
    pub(crate) values: Option<Vec<f32>>,
}

/// A sample in the making, for a preview.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) index: u64,
    pub(crate) kind: FrameKind,
    pub(crate) step: u32,
    pub(crate) num_steps: u32,
    pub(crate) noise_level: f64,
    pub(crate) values: Vec<f32>,
}

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FrameKind {
    X0,
    XT,
}

/// Which frames are kept until the reader takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The latest of each sample and kind.
    Latest,
    /// All of them.
    All,
}

/// The progress of a request and what it has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) samples_begun: u64,
    pub(crate) samples_done: u64,
    pub(crate) ticks: u64,
    pub(crate) evals: u64,
    pub(crate) first_tick: u64,
    pub(crate) last_tick: u64,
    pub(crate) queue_time: Duration,
    pub(crate) compute_time: Duration,
    pub(crate) blocked_time: Duration,
}

/// Everything that a reader takes at a time.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) frames: Vec<Frame>,
    pub(crate) skipped: u32,
    pub(crate) finished: Vec<Finished>,
    pub(crate) account: Account,
    /// Set once, in the last parcel.
    pub(crate) end: Option<Result<(), Error>>,
}

#[derive(Debug)]
struct Contents {
    delivery: Delivery,
    latest: BTreeMap<(u64, FrameKind), Frame>,
    queued: VecDeque<Frame>,
    skipped: u32,
    finished: Vec<Finished>,
    bytes: usize,
    account: Account,
    end: Option<Result<(), Error>>,
    reader_left: bool,
}

#[derive(Debug)]
struct Shared {
    contents: Mutex<Contents>,
    changed: Notify,
    limit: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's end. Dropping it ends the stream with [`Error::Stopped`], unless the
/// stream has already ended.
#[derive(Debug)]
pub(crate) struct Outbox(Arc<Shared>);

/// The stream's end. Dropping it tells the engine that nobody reads any longer.
#[derive(Debug)]
pub(crate) struct Reader(Arc<Shared>);

/// Creates an outbox that is full at `limit` bytes of values; the last call of the network
/// may exceed that.
pub(crate) fn outbox(delivery: Delivery, limit: usize) -> (Outbox, Reader) {
    let contents = Contents {
        delivery,
        latest: BTreeMap::new(),
        queued: VecDeque::new(),
        skipped: 0,
        finished: Vec::new(),
        bytes: 0,
        account: Account::default(),
        end: None,
        reader_left: false,
    };
    let shared = Arc::new(Shared { contents: Mutex::new(contents), changed: Notify::new(), limit });
    (Outbox(Arc::clone(&shared)), Reader(shared))
}

impl Outbox {
    /// Adds the results of one call of the network.
    pub(crate) fn put(&self, frames: Vec<Frame>, finished: Vec<Finished>, account: Account) {
        let mut contents = self.0.lock();
        for frame in frames {
            contents.put_frame(frame);
        }
        let bytes: usize =
            finished.iter().filter_map(|sample| sample.values.as_ref()).map(|v| v.len() * 4).sum();
        contents.bytes += bytes;
        contents.finished.extend(finished);
        contents.account = account;
        drop(contents);
        self.0.changed.notify_one();
    }

    /// Ends the stream after the current contents.
    pub(crate) fn end(self, result: Result<(), Error>) {
        self.0.lock().end = Some(result);
        // Dropping notifies.
    }

    /// Returns whether the reader must catch up before the request goes on.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().bytes >= self.0.limit
    }

    /// Returns whether the reader has been dropped.
    pub(crate) fn reader_left(&self) -> bool {
        self.0.lock().reader_left
    }
}

impl Contents {
    fn put_frame(&mut self, frame: Frame) {
        match self.delivery {
            Delivery::Latest => {
                if self.latest.insert((frame.index, frame.kind), frame).is_some() {
                    self.skipped += 1;
                }
            }
            Delivery::All => {
                self.bytes += frame.values.len() * 4;
                self.queued.push_back(frame);
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.lock().end.get_or_insert(Err(Error::Stopped));
        self.0.changed.notify_one();
    }
}

impl Reader {
    /// Waits for contents, and takes all of them.
    pub(crate) async fn take(&mut self) -> Parcel {
        self.0.changed.notified().await;
        let mut contents = self.0.lock();
        contents.bytes = 0;
        let latest = std::mem::take(&mut contents.latest).into_values();
        let queued = std::mem::take(&mut contents.queued);
        Parcel {
            frames: latest.chain(queued).collect(),
            skipped: std::mem::take(&mut contents.skipped),
            finished: std::mem::take(&mut contents.finished),
            account: contents.account,
            end: contents.end.take(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.lock().reader_left = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(index: u64, step: u32) -> Frame {
        let kind = FrameKind::X0;
        Frame { index, kind, step, num_steps: 9, noise_level: 0.5, values: vec![0.0; 4] }
    }

    fn steps(parcel: &Parcel) -> Vec<(u64, u32)> {
        parcel.frames.iter().map(|frame| (frame.index, frame.step)).collect()
    }

    #[tokio::test]
    async fn a_slow_reader_gets_the_latest_frame_of_each_sample_and_a_count() {
        let (outbox, mut reader) = outbox(Delivery::Latest, 1000);
        for step in 1..=3 {
            outbox.put(vec![frame(0, step), frame(1, step)], vec![], Account::default());
        }
        let parcel = reader.take().await;
        assert_eq!(steps(&parcel), [(0, 3), (1, 3)]);
        assert_eq!(parcel.skipped, 4);
    }

    #[tokio::test]
    async fn every_frame_arrives_in_order_if_all_were_requested() {
        let (outbox, mut reader) = outbox(Delivery::All, 1000);
        for step in 1..=3 {
            outbox.put(vec![frame(0, step)], vec![], Account::default());
        }
        let parcel = reader.take().await;
        assert_eq!((steps(&parcel), parcel.skipped), (vec![(0, 1), (0, 2), (0, 3)], 0));
    }

    #[tokio::test]
    async fn an_outbox_is_full_at_its_limit_and_empty_again_after_it_was_read() {
        let (outbox, mut reader) = outbox(Delivery::Latest, 32);
        let sample = |index| Finished { index, values: Some(vec![0.0; 4]) };
        outbox.put(vec![frame(0, 1)], vec![sample(0)], Account::default());
        assert!(!outbox.is_full());
        outbox.put(vec![], vec![sample(1)], Account::default());
        assert!(outbox.is_full());
        assert_eq!(reader.take().await.finished.len(), 2);
        assert!(!outbox.is_full());
    }

    #[tokio::test]
    async fn a_dropped_outbox_ends_the_stream_with_an_error() {
        let (outbox, mut reader) = outbox(Delivery::Latest, 32);
        drop(outbox);
        assert!(matches!(reader.take().await.end, Some(Err(Error::Stopped))));
    }

    #[tokio::test]
    async fn an_outbox_notices_a_dropped_reader() {
        let (outbox, reader) = outbox(Delivery::Latest, 32);
        assert!(!outbox.reader_left());
        drop(reader);
        assert!(outbox.reader_left());
    }
}
