//! The bounded buffer between the engine and one stream.
//!
//! Finished samples are never dropped: when what waits reaches the limit, the request is
//! not scheduled until its reader has caught up. Previews either queue in the same way,
//! or the latest of each sample replaces an older one. All of it counts against the memory
//! for requests, until its events have left for the connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::admission::{Memory, Unread};
use crate::error::Error;

/// Most bytes of values that a reader takes at a time, unless one sample has more.
const PARCEL_BYTES: u64 = 1 << 20;

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
    /// Expected time until the end, as of a moment ago.
    pub(crate) eta: Option<Duration>,
}

/// What a reader takes at a time.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) frames: Vec<Frame>,
    pub(crate) skipped: u32,
    pub(crate) finished: Vec<Finished>,
    pub(crate) account: Account,
    /// Set once, in the last parcel.
    pub(crate) end: Option<Result<(), Error>>,
    /// Counts the bytes of its values until it is dropped.
    pub(crate) unread: Option<Unread>,
}

#[derive(Debug)]
struct Contents {
    delivery: Delivery,
    latest: BTreeMap<(u64, FrameKind), Frame>,
    queued: VecDeque<Frame>,
    skipped: u32,
    finished: VecDeque<Finished>,
    unread: Unread,
    account: Account,
    end: Option<Result<(), Error>>,
    /// Whether there is something to take.
    has_news: bool,
}

#[derive(Debug)]
struct Shared {
    contents: Mutex<Contents>,
    changed: Notify,
    /// Bytes of what must be delivered: samples, and previews if all were requested.
    due: AtomicU64,
    reader_left: AtomicBool,
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

/// Creates an outbox whose contents count against `memory`.
pub(crate) fn outbox(delivery: Delivery, memory: &Memory) -> (Outbox, Reader) {
    let contents = Contents {
        delivery,
        latest: BTreeMap::new(),
        queued: VecDeque::new(),
        skipped: 0,
        finished: VecDeque::new(),
        unread: memory.unread(0),
        account: Account::default(),
        end: None,
        has_news: false,
    };
    let shared = Arc::new(Shared {
        contents: Mutex::new(contents),
        changed: Notify::new(),
        due: AtomicU64::new(0),
        reader_left: AtomicBool::new(false),
    });
    (Outbox(Arc::clone(&shared)), Reader(shared))
}

impl Outbox {
    /// Adds the results of one call of the network. An account alone wakes no reader, or a stream
    /// without previews would wake its thread at every call: readers look for it themselves.
    pub(crate) fn put(&self, frames: Vec<Frame>, finished: Vec<Finished>, account: Account) {
        let wakes = !frames.is_empty() || !finished.is_empty();
        let mut contents = self.0.lock();
        let (mut due, mut replaced) = (0, 0);
        // Counted once: all requests share the count.
        let frame_bytes: u64 = frames.iter().map(Frame::bytes).sum();
        let sample_bytes: u64 = finished.iter().map(Finished::bytes).sum();
        contents.unread.grow(frame_bytes + sample_bytes);
        match contents.delivery {
            Delivery::Latest => {
                replaced = frames.into_iter().map(|frame| contents.put_latest(frame)).sum();
            }
            Delivery::All => {
                due += frame_bytes;
                contents.queued.extend(frames);
            }
        }
        if replaced > 0 {
            drop(contents.unread.split(replaced));
        }
        due += sample_bytes;
        contents.finished.extend(finished);
        contents.account = account;
        contents.has_news = true;
        drop(contents);
        self.0.due.fetch_add(due, Ordering::Relaxed);
        if wakes {
            self.0.changed.notify_one();
        }
    }

    /// Ends the stream after the current contents.
    pub(crate) fn end(self, result: Result<(), Error>) {
        self.0.lock().end = Some(result);
        // Dropping notifies.
    }

    /// Returns whether the reader must catch up before the request goes on.
    ///
    /// * `limit`: bytes that may wait for one reader now, see [`Memory::reader_limit`].
    pub(crate) fn is_full(&self, limit: u64) -> bool {
        let due = self.0.due.load(Ordering::Relaxed);
        due > 0 && due >= limit
    }

    /// Returns whether the reader has been dropped.
    pub(crate) fn reader_left(&self) -> bool {
        self.0.reader_left.load(Ordering::Relaxed)
    }
}

impl Contents {
    /// Returns whether there is more to take than the account.
    fn delivers(&self) -> bool {
        let frames = !self.latest.is_empty() || !self.queued.is_empty();
        frames || !self.finished.is_empty() || self.end.is_some()
    }

    /// Keeps a frame as the latest of its sample; returns the bytes of the one that it replaced.
    fn put_latest(&mut self, frame: Frame) -> u64 {
        match self.latest.insert((frame.index, frame.kind), frame) {
            Some(older) => {
                self.skipped += 1;
                older.bytes()
            }
            None => 0,
        }
    }

    /// Takes at most [`PARCEL_BYTES`], or one item; returns the bytes that were due too.
    fn take(&mut self) -> (Parcel, u64) {
        let (mut bytes, mut due) = (0, 0);
        let has_room = |bytes: u64, more: u64| bytes == 0 || bytes + more <= PARCEL_BYTES;
        let (mut frames, mut finished) = (Vec::new(), Vec::new());
        while let Some(entry) = self.latest.first_entry()
            && has_room(bytes, entry.get().bytes())
        {
            let frame = entry.remove();
            bytes += frame.bytes();
            frames.push(frame);
        }
        while self.queued.front().is_some_and(|next| has_room(bytes, next.bytes()))
            && let Some(frame) = self.queued.pop_front()
        {
            bytes += frame.bytes();
            due += frame.bytes();
            frames.push(frame);
        }
        // A sample comes after the previews of it.
        let previews_left = !self.latest.is_empty() || !self.queued.is_empty();
        let may_finish = |next: &Finished, bytes| !previews_left && has_room(bytes, next.bytes());
        while self.finished.front().is_some_and(|next| may_finish(next, bytes))
            && let Some(sample) = self.finished.pop_front()
        {
            bytes += sample.bytes();
            due += sample.bytes();
            finished.push(sample);
        }
        self.has_news = previews_left || !self.finished.is_empty();
        let parcel = Parcel {
            frames,
            skipped: std::mem::take(&mut self.skipped),
            finished,
            account: self.account,
            end: if self.has_news { None } else { self.end.take() },
            unread: (bytes > 0).then(|| self.unread.split(bytes)),
        };
        (parcel, due)
    }
}

impl Finished {
    fn bytes(&self) -> u64 {
        self.values.as_ref().map_or(0, |values| size_of_val(&values[..]) as u64)
    }
}

impl Frame {
    fn bytes(&self) -> u64 {
        size_of_val(&self.values[..]) as u64
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut contents = self.0.lock();
        contents.end.get_or_insert(Err(Error::Stopped));
        contents.has_news = true;
        drop(contents);
        self.0.changed.notify_one();
    }
}

impl Reader {
    /// Waits for frames, samples or the end, and takes a part of them. Cancel safe.
    pub(crate) async fn take(&mut self) -> Parcel {
        loop {
            if let Some(parcel) = self.take_if(Contents::delivers) {
                return parcel;
            }
            self.0.changed.notified().await;
        }
    }

    /// Takes a part of the contents; `None` if nothing is new, not even the account.
    pub(crate) fn try_take(&mut self) -> Option<Parcel> {
        self.take_if(|contents| contents.has_news)
    }

    fn take_if(&mut self, condition: impl FnOnce(&Contents) -> bool) -> Option<Parcel> {
        let mut contents = self.0.lock();
        if !condition(&contents) {
            return None;
        }
        let (parcel, due) = contents.take();
        drop(contents);
        self.0.due.fetch_sub(due, Ordering::Relaxed);
        Some(parcel)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.reader_left.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
