//! Memory of messages that are arriving.
//!
//! What a client announced is not yet sent, and what it sent may never become a request. So
//! bodies may take three quarters of the memory limit, those of one principal half of it, and
//! the first 64 KiB of each come out of the [small room](Small): small requests, health checks
//! among them, find a way in while the rest is full of half messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::admission::{Admission, Room, SMALL_BYTES, SMALL_PART, Small};
use crate::error::Error;
use crate::principal::Principal;

/// Pause before a body is sent again: others end, or are cut off, at any time.
const RETRY: Duration = Duration::from_secs(1);

/// Counts the memory of bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admission: Admission,
    counts: Mutex<Counts>,
}

/// Bytes of all bodies under the memory limit; those in the small room are not among them.
#[derive(Debug, Default)]
struct Counts {
    total: u64,
    /// Only those that hold some.
    principals: HashMap<Principal, u64>,
}

/// The memory of one body; freed on drop.
#[derive(Debug)]
pub(super) struct Share {
    rooms: Rooms,
    principal: Principal,
    small: Small,
    /// Bytes in `room`.
    large: u64,
    room: Option<Room>,
}

impl Rooms {
    /// Sets the small room aside, for ever.
    pub(super) fn new(admission: Admission) -> Self {
        admission.memory().set_aside(admission.limits().max_held_bytes / SMALL_PART);
        Self::of(admission)
    }

    /// Counts in a small room that is set aside already.
    pub(super) fn of(admission: Admission) -> Self {
        Self(Arc::new(Inner { admission, counts: Mutex::default() }))
    }

    /// Returns the memory of a body that begins: none yet.
    pub(super) fn share(&self, principal: Principal) -> Share {
        let small = self.0.admission.memory().small(principal.clone());
        Share { rooms: self.clone(), principal, small, large: 0, room: None }
    }

    fn limit(&self) -> u64 {
        self.0.admission.limits().max_held_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Holds `bytes` in all; never less than before.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if they do not fit, [`Error::Draining`] if they are many and the server
    /// drains. What is held stays held.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Error> {
        let before = self.small.bytes();
        let more = bytes.saturating_sub(before + self.large);
        let small = more.min(SMALL_BYTES.saturating_sub(before));
        let large = if self.small.grow(small) { more - small } else { more };
        if large == 0 {
            return Ok(());
        }
        self.hold_large(large).inspect_err(|_| self.small.shrink_to(before))
    }

    fn hold_large(&mut self, bytes: u64) -> Result<(), Error> {
        let rooms = self.rooms.clone();
        let mut counts = rooms.lock();
        counts.check(self, bytes, rooms.limit())?;
        match &mut self.room {
            Some(room) => room.grow(bytes).map_err(|full| rooms.0.admission.no_room(full))?,
            None => self.room = Some(rooms.0.admission.hold(bytes)?),
        }
        counts.add(&self.principal, bytes);
        self.large += bytes;
        Ok(())
    }

    /// Gives back what is held beyond `bytes`, under the memory limit first.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let large = bytes.saturating_sub(self.small.bytes()).min(self.large);
        self.rooms.lock().remove(&self.principal, self.large - large);
        self.large = large;
        if let Some(room) = &mut self.room {
            room.shrink_to(large);
        }
        self.small.shrink_to(bytes - large);
    }

    /// Makes it the memory of a request that is checked.
    ///
    /// # Errors
    ///
    /// As [`Admission::hold`]; a large one was refused earlier if the server drains.
    pub(super) fn into_room(mut self) -> Result<Room, Error> {
        let admission = &self.rooms.0.admission;
        let small = self.small.take();
        let Some(mut room) = self.room.take() else { return admission.hold_small(small) };
        room.grow(small.bytes()).map_err(|full| admission.no_room(full))?;
        Ok(room)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.rooms.lock().remove(&self.principal, self.large);
    }
}

impl Counts {
    /// Checks what bodies may take of the memory limit. A body that is alone may take more: so
    /// may the request that it becomes.
    fn check(&self, share: &Share, more: u64, limit: u64) -> Result<(), Error> {
        if self.total == share.large {
            return Ok(());
        }
        let full = |what, limit| Err(Error::Full { what, limit, retry_after: RETRY });
        let own = self.principals.get(&share.principal).copied().unwrap_or(0);
        if own + more > limit / 2 {
            let what = "the unfinished messages of this client hold too many bytes";
            return full(what, limit / 2);
        }
        if self.total + more > limit / 4 * 3 {
            return full("unfinished messages hold too many bytes", limit / 4 * 3);
        }
        Ok(())
    }

    fn add(&mut self, principal: &Principal, bytes: u64) {
        *self.principals.entry(principal.clone()).or_default() += bytes;
        self.total += bytes;
    }

    fn remove(&mut self, principal: &Principal, bytes: u64) {
        self.total -= bytes;
        if let Some(own) = self.principals.get_mut(principal) {
            *own -= bytes;
            if *own == 0 {
                self.principals.remove(principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::body::tests::admission;

    const MIB: u64 = 1 << 20;

    fn rooms(limit: u64) -> Rooms {
        Rooms::new(admission(limit))
    }

    fn share(rooms: &Rooms, who: u8) -> Share {
        rooms.share(Principal::of_address([127, 0, 0, who].into()))
    }

    /// The memory of a body of `bytes` bytes.
    fn body(rooms: &Rooms, who: u8, bytes: u64) -> Result<Share, Error> {
        let mut share = share(rooms, who);
        share.grow_to(bytes)?;
        Ok(share)
    }

    fn held(rooms: &Rooms) -> (u64, u64, u64) {
        let memory = rooms.0.admission.memory().held();
        (memory.small, rooms.lock().total, memory.total())
    }

    #[test]
    fn the_bodies_of_one_principal_hold_at_most_half_of_the_limit() {
        let rooms = rooms(64 * MIB);
        let fits = 16 * MIB + SMALL_BYTES;
        let _a = body(&rooms, 1, fits).unwrap();
        let _b = body(&rooms, 1, fits).unwrap();
        assert!(matches!(body(&rooms, 1, SMALL_BYTES + 1), Err(Error::Full { .. })));
        let _c = body(&rooms, 2, fits).unwrap();
        assert_eq!(held(&rooms).2, 48 * MIB + 3 * SMALL_BYTES);
    }

    #[test]
    fn bodies_hold_at_most_three_quarters_of_the_limit() {
        let rooms = rooms(64 * MIB);
        let fits = 16 * MIB + SMALL_BYTES;
        let _three = [1, 2, 3].map(|who| body(&rooms, who, fits).unwrap());
        let refused = body(&rooms, 4, SMALL_BYTES + 1).unwrap_err();
        assert!(matches!(refused, Error::Full { limit, .. } if limit == 48 * MIB), "{refused}");
        assert_eq!(
            held(&rooms),
            (3 * SMALL_BYTES, 48 * MIB, 48 * MIB + 3 * SMALL_BYTES),
            "a refusal holds nothing"
        );
    }

    #[test]
    fn small_bodies_find_a_way_in_while_the_limit_is_full() {
        let rooms = rooms(MIB);
        let most = MIB / SMALL_PART * (SMALL_PART - 1);
        let _all = rooms.0.admission.hold(most).unwrap();
        assert!(rooms.0.admission.hold(1).is_err(), "an eighth is set aside");
        // An eighth is room for two, of which one principal gets one.
        let _one = body(&rooms, 1, SMALL_BYTES).unwrap();
        assert!(body(&rooms, 1, SMALL_BYTES).is_err());
        let _two = body(&rooms, 2, SMALL_BYTES).unwrap();
        assert!(body(&rooms, 3, 1).is_err());
        assert_eq!(held(&rooms), (2 * SMALL_BYTES, 0, most + 2 * SMALL_BYTES));
    }

    #[test]
    fn a_body_that_is_alone_may_be_larger_than_its_part() {
        let rooms = rooms(MIB);
        let mut large = body(&rooms, 1, 4 * MIB).unwrap();
        assert!(matches!(body(&rooms, 2, SMALL_BYTES + 1), Err(Error::Full { .. })));
        large.grow_to(5 * MIB).unwrap();
        drop(large);
        assert!(body(&rooms, 2, SMALL_BYTES + 1).is_ok());
    }

    #[test]
    fn memory_shrinks_from_the_limit_first_and_is_freed_with_the_body() {
        let rooms = rooms(64 * MIB);
        let mut share = body(&rooms, 1, SMALL_BYTES + 100).unwrap();
        assert_eq!(held(&rooms), (SMALL_BYTES, 100, SMALL_BYTES + 100));
        share.shrink_to(SMALL_BYTES + 30);
        assert_eq!(held(&rooms), (SMALL_BYTES, 30, SMALL_BYTES + 30));
        share.shrink_to(7);
        assert_eq!(held(&rooms), (7, 0, 7));
        share.grow_to(SMALL_BYTES + 5).unwrap();
        drop(share);
        assert_eq!(held(&rooms), (0, 0, 0));
        assert!(rooms.lock().principals.is_empty());
    }

    #[test]
    fn what_a_request_takes_over_counts_against_the_limit() {
        let rooms = rooms(64 * MIB);
        let small = body(&rooms, 1, 100).unwrap().into_room().unwrap();
        assert_eq!((small.bytes(), held(&rooms)), (100, (0, 0, 100)));
        let large = body(&rooms, 1, SMALL_BYTES + 1).unwrap().into_room().unwrap();
        assert_eq!((large.bytes(), held(&rooms)), (SMALL_BYTES + 1, (0, 0, SMALL_BYTES + 101)));
        drop((small, large));
        assert_eq!(held(&rooms), (0, 0, 0));
    }

    #[test]
    fn a_small_message_becomes_a_request_while_the_limit_is_full() {
        let rooms = rooms(MIB);
        let _all = rooms.0.admission.hold(MIB / SMALL_PART * (SMALL_PART - 1)).unwrap();
        let small = body(&rooms, 1, 100).unwrap().into_room().unwrap();
        assert_eq!((small.bytes(), held(&rooms).0), (100, 100));
        rooms.0.admission.drain();
        let late = body(&rooms, 1, 100).unwrap().into_room();
        assert!(matches!(late, Err(Error::Draining)), "{late:?}");
        drop(small);
        assert_eq!(held(&rooms).0, 0);
    }
}
