//! Memory of small requests.
//!
//! An eighth of the limit is set aside for them, of which one principal gets at most half: they
//! find a way in, and are served, while the rest is full of large messages. Requests, which may run
//! for long, hold at most half of it, so that messages always find the other half.

use super::Memory;
use crate::principal::Principal;

/// Part of the memory limit that is the small room.
pub(crate) const SMALL_PART: u64 = 8;

/// Most bytes of one request in the small room.
pub(crate) const SMALL_BYTES: u64 = 64 << 10;

/// Bytes that one request holds in the small room; freed on drop.
#[derive(Debug)]
pub(crate) struct Small {
    memory: Memory,
    principal: Principal,
    bytes: u64,
    /// Whether it is a request, and no message any more.
    is_request: bool,
}

impl Memory {
    /// Returns what a request of a principal holds in the small room: nothing yet.
    pub(crate) fn small(&self, principal: Principal) -> Small {
        Small { memory: self.clone(), principal, bytes: 0, is_request: false }
    }
}

impl Small {
    /// Holds `bytes` more, if they fit.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let most = self.memory.0.limit / SMALL_PART;
        let mut state = self.memory.lock();
        let own = state.small.get(&self.principal).copied().unwrap_or(0);
        let fits = self.bytes.saturating_add(bytes) <= SMALL_BYTES
            && own + bytes <= most / 2
            && state.held.small + bytes <= most
            && (!self.is_request || state.small_requests + bytes <= most / 2);
        if fits && bytes > 0 {
            state.small.insert(self.principal.clone(), own + bytes);
            state.held.small += bytes;
            state.small_requests += if self.is_request { bytes } else { 0 };
            drop(state);
            self.bytes += bytes;
        }
        fits
    }

    /// Takes all that it holds.
    pub(crate) fn take(&mut self) -> Self {
        let bytes = std::mem::take(&mut self.bytes);
        let (memory, principal) = (self.memory.clone(), self.principal.clone());
        Self { memory, principal, bytes, is_request: self.is_request }
    }

    /// Makes it that of a request, if requests may hold so much.
    pub(super) fn become_request(&mut self) -> bool {
        if self.is_request {
            return true;
        }
        let mut state = self.memory.lock();
        let fits = state.small_requests + self.bytes <= self.memory.0.limit / SMALL_PART / 2;
        if fits {
            state.small_requests += self.bytes;
            self.is_request = true;
        }
        fits
    }

    /// Gives back what is held beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let freed = self.bytes.saturating_sub(bytes);
        if freed == 0 {
            return;
        }
        self.bytes -= freed;
        let mut state = self.memory.lock();
        state.held.small -= freed;
        state.small_requests -= if self.is_request { freed } else { 0 };
        if let Some(own) = state.small.get_mut(&self.principal) {
            *own -= freed;
            if *own == 0 {
                state.small.remove(&self.principal);
            }
        }
    }

    /// Returns the bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::memory::{Held, NoRoom};

    const MIB: u64 = 1 << 20;

    fn small(memory: &Memory, who: u8) -> Small {
        memory.small(Principal::of_address([127, 0, 0, who].into()))
    }

    /// Memory of an MiB, all of which is held except the small room, of an eighth.
    fn full() -> (Memory, crate::admission::Room) {
        let memory = Memory::new(MIB);
        memory.set_aside(MIB / SMALL_PART);
        let all = memory.hold(MIB / SMALL_PART * (SMALL_PART - 1)).unwrap();
        (memory, all)
    }

    #[test]
    fn a_request_holds_at_most_64_kib_and_a_principal_half_of_the_small_room() {
        let memory = Memory::new(2 * MIB);
        let mut first = small(&memory, 1);
        assert!(!first.grow(SMALL_BYTES + 1));
        assert!(first.grow(SMALL_BYTES - 1) && first.grow(1) && !first.grow(1));
        let mut second = small(&memory, 1);
        assert!(second.grow(SMALL_BYTES));
        assert!(!small(&memory, 1).grow(1), "two of them are half of an eighth");
        let mut others = [2, 3].map(|who| small(&memory, who));
        assert!(others.iter_mut().all(|other| other.grow(SMALL_BYTES)));
        assert!(!small(&memory, 4).grow(1), "all of it is held");
        second.shrink_to(10);
        assert_eq!((second.bytes(), memory.held().small), (10, 3 * SMALL_BYTES + 10));
        assert!(small(&memory, 1).grow(SMALL_BYTES - 10) && small(&memory, 4).grow(1));
        drop((first, second, others));
        assert_eq!(memory.held(), Held::default());
        assert!(memory.lock().small.is_empty());
    }

    #[test]
    fn a_small_request_stays_in_the_small_room_only_while_there_is_no_other() {
        let (memory, all) = full();
        let mut message = small(&memory, 1);
        assert!(message.grow(100));
        let mut room = memory.hold_small(message).unwrap();
        assert_eq!((room.bytes(), memory.held().small), (100, 100));
        room.grow(50).unwrap();
        assert_eq!((room.bytes(), memory.held().small), (150, 150));
        drop(all);
        room.grow(30).unwrap();
        assert_eq!((room.bytes(), memory.held().requests), (180, 30));
        room.resize(40).unwrap();
        let held = Held { requests: 30, readers: 0, small: 10 };
        assert_eq!(memory.held(), held, "the small room is freed first");
        room.shrink_to(20);
        assert_eq!(memory.held(), Held { requests: 20, readers: 0, small: 0 });
        let mut message = small(&memory, 1);
        assert!(message.grow(100));
        let other = memory.hold_small(message).unwrap();
        assert_eq!(memory.held(), Held { requests: 120, readers: 0, small: 0 });
        drop((room, other));
        assert_eq!(memory.held(), Held::default());
    }

    #[test]
    fn requests_leave_half_of_the_small_room_to_messages() {
        let (memory, all) = full();
        // Half of an eighth of an MiB is one request of 64 KiB.
        let mut first = small(&memory, 1);
        assert!(first.grow(SMALL_BYTES - 1));
        let mut first = memory.hold_small(first).unwrap();
        let mut second = small(&memory, 2);
        assert!(second.grow(2));
        let limit = MIB / SMALL_PART * (SMALL_PART - 1);
        assert_eq!(memory.hold_small(second).unwrap_err(), NoRoom { limit });
        assert_eq!(memory.held().small, SMALL_BYTES - 1, "a refusal holds nothing");
        first.grow(1).unwrap();
        let mut empty = memory.hold_small(small(&memory, 2)).unwrap();
        assert!(empty.grow(1).is_err());
        let mut message = small(&memory, 3);
        assert!(message.grow(SMALL_BYTES), "messages find the other half");
        drop(first);
        empty.grow(1).unwrap();
        drop((all, empty, message));
        assert_eq!((memory.held(), memory.lock().small_requests), (Held::default(), 0));
    }

    #[test]
    fn a_request_that_is_not_small_finds_no_way_in() {
        let (memory, _all) = full();
        let limit = MIB / SMALL_PART * (SMALL_PART - 1);
        let mut room = memory.hold_small(small(&memory, 1)).unwrap();
        room.grow(SMALL_BYTES).unwrap();
        assert_eq!(room.grow(1), Err(NoRoom { limit }));
        assert_eq!(room.resize(SMALL_BYTES + 1), Err(NoRoom { limit }));
        assert_eq!(room.bytes(), SMALL_BYTES, "it holds what it held");
        assert!(memory.hold(1).is_err());
    }

    #[test]
    fn requests_hold_exactly_half_of_the_small_room_and_are_counted_once() {
        let memory = Memory::new(2 * MIB);
        let mut requests = [1, 2].map(|who| small(&memory, who));
        assert!(requests.iter_mut().all(|it| it.grow(SMALL_BYTES) && it.become_request()));
        let mut third = small(&memory, 3);
        assert!(third.grow(1));
        assert!(!third.become_request(), "two of them hold the half already");
        requests[0].shrink_to(SMALL_BYTES - 1);
        assert!(third.become_request());
        // To ask again changes nothing.
        assert!(third.become_request());
        assert_eq!(memory.lock().small_requests, 2 * SMALL_BYTES);
        drop((requests, third));
        assert_eq!(memory.lock().small_requests, 0);
    }

    #[test]
    fn nothing_is_held_for_nothing() {
        let memory = Memory::new(2 * MIB);
        assert!(small(&memory, 1).grow(0));
        let empty = small(&memory, 1);
        assert!(memory.lock().small.is_empty());
        drop(empty);
    }
}
