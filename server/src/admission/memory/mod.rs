//! The memory that requests hold: messages while they arrive and are checked, rows and inputs while
//! they run, and what waits for their readers.
//!
//! All of it counts against one limit, a part of which is set aside for [small] requests and for
//! programs that are remembered. Readers share half of it: what one may hold falls as the
//! free part does (dynamic thresholds, Choudhury & Hahne 1998), so many that are behind can
//! neither fill the memory nor stop those that read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::principal::Principal;

mod small;
pub(crate) use small::{SMALL_BYTES, SMALL_PART, Small};

/// Most bytes that may wait for one reader.
const MOST_PER_READER: u64 = 16 << 20;

/// Part of the free memory of readers that one of them may hold.
const READER_PART: u64 = 8;

/// Part of the free memory of readers that one answer may take.
const ANSWER_PART: u64 = 4;

/// Bytes held by all requests together. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: u64,
    /// Bytes of the limit that are for something else.
    aside: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    /// Bytes in the small room, of each principal that holds some.
    small: HashMap<Principal, u64>,
    /// Those of requests, in all.
    small_requests: u64,
}

/// Bytes in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// By messages, rows and inputs.
    pub(crate) requests: u64,
    /// By what waits for readers.
    pub(crate) readers: u64,
    /// By small requests, in memory set aside.
    pub(crate) small: u64,
}

/// There is no room for so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) limit: u64,
}

/// Bytes held for a request; freed on drop.
#[derive(Debug)]
pub(crate) struct Room {
    memory: Memory,
    /// Without those in the small room.
    bytes: u64,
    /// Takes what finds no room otherwise.
    small: Option<Small>,
}

/// Bytes that wait for a reader; freed on drop.
#[derive(Debug)]
pub(crate) struct Unread {
    memory: Memory,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Pool { limit, aside: AtomicU64::new(0), state: Mutex::default() }))
    }

    /// Sets bytes of the limit aside, for ever.
    pub(crate) fn set_aside(&self, bytes: u64) {
        self.0.aside.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the bytes that are not set aside.
    fn usable(&self) -> u64 {
        self.0.limit.saturating_sub(self.0.aside.load(Ordering::Relaxed))
    }

    /// Returns the bytes in use.
    pub(crate) fn held(&self) -> Held {
        self.lock().held
    }

    /// Holds bytes for a request. A larger request than the limit is admitted if it is alone.
    ///
    /// # Errors
    ///
    /// [`NoRoom`].
    pub(crate) fn hold(&self, bytes: u64) -> Result<Room, NoRoom> {
        let mut room = Room { memory: self.clone(), bytes: 0, small: None };
        room.grow(bytes)?;
        Ok(room)
    }

    /// Takes the bytes of a small message over for the request that it becomes. They stay in the
    /// small room only if nothing else is free, as do those that the request needs later.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if requests hold as much of the small room as they may.
    pub(crate) fn hold_small(&self, message: Small) -> Result<Room, NoRoom> {
        let mut room = Room { memory: self.clone(), bytes: 0, small: None };
        let mut small = message;
        match room.grow_large(small.bytes()) {
            Ok(()) => small.shrink_to(0),
            Err(no_room) if !small.become_request() => return Err(no_room),
            Err(_) => {}
        }
        small.become_request();
        room.small = Some(small);
        Ok(room)
    }

    /// Counts bytes that wait for a reader. They are there already, so nothing is refused: ask
    /// [`Memory::reader_limit`] before more are made.
    pub(crate) fn unread(&self, bytes: u64) -> Unread {
        let mut unread = Unread { memory: self.clone(), bytes: 0 };
        unread.grow(bytes);
        unread
    }

    /// Counts an answer before it is made as a whole; it waits for its reader until it is dropped.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if it is more than a quarter of what readers may still hold, unless none of them
    /// holds anything: answers that nobody reads leave room for those who read.
    pub(crate) fn answer(&self, bytes: u64) -> Result<Unread, NoRoom> {
        let limit = self.0.limit / 2;
        let held = &mut self.lock().held;
        let free = limit.saturating_sub(held.readers);
        if held.readers > 0 && bytes > free / ANSWER_PART {
            return Err(NoRoom { limit });
        }
        held.readers += bytes;
        Ok(Unread { memory: self.clone(), bytes })
    }

    /// Returns how many bytes may wait for one reader now; with more, its request pauses.
    pub(crate) fn reader_limit(&self) -> u64 {
        let held = self.held();
        let free = (self.0.limit / 2).saturating_sub(held.readers);
        (free / READER_PART).min(MOST_PER_READER)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) fn total(self) -> u64 {
        self.requests + self.readers + self.small
    }
}

impl Room {
    /// Holds more bytes, a small request also in the small room; on an error it holds what it held.
    ///
    /// # Errors
    ///
    /// [`NoRoom`].
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let Err(no_room) = self.grow_large(bytes) else { return Ok(()) };
        let grown = self.small.as_mut().is_some_and(|small| small.grow(bytes));
        if grown { Ok(()) } else { Err(no_room) }
    }

    fn grow_large(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let limit = self.memory.usable();
        let held = &mut self.memory.lock().held;
        let is_alone = held.requests == self.bytes;
        let used = held.requests + held.readers;
        if !is_alone && used.saturating_add(bytes) > limit {
            return Err(NoRoom { limit });
        }
        held.requests = held.requests.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Gives back what is held above `bytes`, in the small room first.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        if let Some(small) = &mut self.small {
            small.shrink_to(bytes.saturating_sub(self.bytes));
        }
        let freed = self.bytes.saturating_sub(bytes);
        self.memory.lock().held.requests -= freed;
        self.bytes -= freed;
    }

    /// Holds `bytes` instead of what it holds.
    ///
    /// # Errors
    ///
    /// [`NoRoom`].
    pub(crate) fn resize(&mut self, bytes: u64) -> Result<(), NoRoom> {
        match bytes.checked_sub(self.bytes()) {
            Some(more) => self.grow(more),
            None => {
                self.shrink_to(bytes);
                Ok(())
            }
        }
    }

    /// Returns the bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.small.as_ref().map_or(0, Small::bytes)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl Unread {
    /// Counts more bytes.
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.memory.lock().held.readers += bytes;
        self.bytes += bytes;
    }

    /// Takes over `bytes` of the bytes that wait, or all if there are fewer.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { memory: self.memory.clone(), bytes }
    }

    /// Returns the bytes that wait.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.memory.lock().held.readers -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_a_quarter_of_what_readers_may_still_hold_or_comes_alone() {
        let memory = Memory::new(800);
        let alone = memory.answer(900).unwrap();
        assert_eq!(memory.held().readers, 900);
        assert_eq!(memory.answer(1).unwrap_err(), NoRoom { limit: 400 });
        drop(alone);
        let first = memory.answer(100).unwrap();
        assert!(memory.answer(76).is_err());
        let second = memory.answer(75).unwrap();
        assert!(memory.answer(57).is_err());
        drop((first, second));
        assert_eq!(memory.held().total(), 0);
    }

    #[test]
    fn a_room_grows_to_the_limit_and_frees_what_it_holds() {
        let memory = Memory::new(1000);
        let mut first = memory.hold(400).unwrap();
        let mut second = memory.hold(600).unwrap();
        assert_eq!(second.grow(1), Err(NoRoom { limit: 1000 }));
        assert_eq!(memory.hold(1).unwrap_err(), NoRoom { limit: 1000 });
        first.shrink_to(300);
        second.grow(100).unwrap();
        assert_eq!((first.bytes(), second.bytes()), (300, 700));
        first.shrink_to(900);
        assert_eq!(first.bytes(), 300, "shrinking does not grow");
        drop(second);
        assert_eq!(memory.held(), Held { requests: 300, readers: 0, small: 0 });
        drop(first);
        assert_eq!(memory.held(), Held::default());
    }

    #[test]
    fn a_request_larger_than_the_limit_fits_if_it_is_alone() {
        let memory = Memory::new(1000);
        let mut large = memory.hold(5000).unwrap();
        large.grow(1).unwrap();
        assert!(memory.hold(0).is_err());
        drop(large);
        let small = memory.hold(1).unwrap();
        assert!(memory.hold(1000).is_err());
        drop(small);
        assert!(memory.hold(1001).is_ok());
    }

    #[test]
    fn what_is_set_aside_is_a_part_of_the_limit_and_what_it_holds_is_counted() {
        let memory = Memory::new(1000);
        memory.set_aside(100);
        memory.set_aside(25);
        let _first = memory.hold(800).unwrap();
        let _second = memory.hold(75).unwrap();
        assert_eq!(memory.hold(1).unwrap_err(), NoRoom { limit: 875 });
        let mut small = memory.small(Principal::of_address([127, 0, 0, 1].into()));
        assert!(small.grow(60));
        assert_eq!(memory.held().total(), 935);
        drop(small);
        assert_eq!(memory.held().total(), 875);
    }

    #[test]
    fn a_room_is_resized_in_both_directions() {
        let memory = Memory::new(1000);
        let _other = memory.hold(500).unwrap();
        let mut room = memory.hold(100).unwrap();
        room.resize(500).unwrap();
        assert_eq!(room.resize(501), Err(NoRoom { limit: 1000 }));
        room.resize(20).unwrap();
        assert_eq!((room.bytes(), memory.held().requests), (20, 520));
    }

    #[test]
    fn what_readers_hold_lowers_what_each_may_hold_and_what_requests_may() {
        let memory = Memory::new(1600);
        assert_eq!(memory.reader_limit(), 100);
        let mut unread = memory.unread(300);
        unread.grow(100);
        assert_eq!(memory.reader_limit(), 50);
        let part = unread.split(150);
        assert_eq!((part.bytes(), unread.bytes()), (150, 250));
        assert_eq!(memory.held(), Held { requests: 0, readers: 400, small: 0 });
        let _first = memory.hold(600).unwrap();
        let _second = memory.hold(600).unwrap();
        assert!(memory.hold(1).is_err());
        drop(part);
        assert!(memory.hold(1).is_ok());
        assert_eq!(unread.split(1000).bytes(), 250);
        drop(unread);
        assert_eq!((memory.held().readers, memory.reader_limit()), (0, 100));
        let _much = memory.unread(801);
        assert_eq!(memory.reader_limit(), 0);
        assert_eq!(Memory::new(1 << 40).reader_limit(), 16 << 20);
    }
}
