//! Memory of messages that are arriving.
//!
//! What a client announced is not yet sent, and what it sent may never become a request. So
//! bodies may take three quarters of the memory limit, those of one principal half of it, and
//! the first 64 KiB of each come out of an eighth of the limit that is set aside: small requests,
//! health checks among them, find a way in while the rest is full of half messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::admission::{Admission, Room};
use crate::error::Error;
use crate::principal::Principal;

/// Bytes of each body that come out of the small room.
const SMALL: u64 = 64 << 10;

/// Part of the memory limit that is the small room.
const SMALL_PART: u64 = 8;

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

/// Bytes of all bodies.
#[derive(Debug, Default)]
struct Counts {
    total: Held,
    /// Only those that hold some.
    principals: HashMap<Principal, Held>,
}

/// Bytes in the small room, and in what is left of the memory limit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    small: u64,
    large: u64,
}

/// The memory of one body; freed on drop.
#[derive(Debug)]
pub(super) struct Share {
    rooms: Rooms,
    principal: Principal,
    held: Held,
    /// Holds `held.large`.
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
        Share { rooms: self.clone(), principal, held: Held::default(), room: None }
    }

    fn remove(&self, principal: &Principal, held: Held) {
        let mut counts = self.lock();
        counts.remove(principal, held);
        self.0.admission.memory().set_small(counts.total.small);
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
        let more = bytes.saturating_sub(self.held.small + self.held.large);
        if more == 0 {
            return Ok(());
        }
        let rooms = self.rooms.clone();
        let mut counts = rooms.lock();
        let small = more.min(SMALL.saturating_sub(self.held.small));
        let small = if counts.has_small(&self.principal, small, rooms.limit()) { small } else { 0 };
        let large = more - small;
        if large > 0 {
            counts.check_large(self, large, rooms.limit())?;
            match &mut self.room {
                Some(room) => room.grow(large).map_err(|full| rooms.0.admission.no_room(full))?,
                None => self.room = Some(rooms.0.admission.hold(large)?),
            }
        }
        counts.add(&self.principal, Held { small, large });
        rooms.0.admission.memory().set_small(counts.total.small);
        self.held.small += small;
        self.held.large += large;
        Ok(())
    }

    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let Held { small, large } = self.held;
        let large_freed = large.min((small + large).saturating_sub(bytes));
        self.held.large -= large_freed;
        let small_freed = small.saturating_sub(bytes.saturating_sub(self.held.large));
        self.held.small -= small_freed;
        if let Some(room) = &mut self.room {
            room.shrink_to(self.held.large);
        }
        let freed = Held { small: small_freed, large: large_freed };
        self.rooms.remove(&self.principal, freed);
    }

    /// Moves all of it under the memory limit, for a request that is checked.
    ///
    /// # Errors
    ///
    /// As [`Admission::hold`].
    pub(super) fn into_room(mut self) -> Result<Room, Error> {
        let admission = &self.rooms.0.admission;
        let Some(mut room) = self.room.take() else { return admission.hold(self.held.small) };
        room.grow(self.held.small).map_err(|full| admission.no_room(full))?;
        Ok(room)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.rooms.remove(&self.principal, self.held);
    }
}

impl Counts {
    /// Whether the small room takes `bytes` more, of which one principal gets half.
    fn has_small(&self, principal: &Principal, bytes: u64, limit: u64) -> bool {
        let max = limit / SMALL_PART;
        self.total.small + bytes <= max && self.of(principal).small + bytes <= max / 2
    }

    /// Checks what bodies may take of the memory limit. A body that is alone may take more: so
    /// may the request that it becomes.
    fn check_large(&self, share: &Share, more: u64, limit: u64) -> Result<(), Error> {
        if self.total.large == share.held.large {
            return Ok(());
        }
        let full = |what, limit| Err(Error::Full { what, limit, retry_after: RETRY });
        if self.of(&share.principal).large + more > limit / 2 {
            let what = "the unfinished messages of this client hold too many bytes";
            return full(what, limit / 2);
        }
        if self.total.large + more > limit / 4 * 3 {
            return full("unfinished messages hold too many bytes", limit / 4 * 3);
        }
        Ok(())
    }

    fn of(&self, principal: &Principal) -> Held {
        self.principals.get(principal).copied().unwrap_or_default()
    }

    fn add(&mut self, principal: &Principal, held: Held) {
        let own = self.principals.entry(principal.clone()).or_default();
        for count in [own, &mut self.total] {
            count.small += held.small;
            count.large += held.large;
        }
    }

    fn remove(&mut self, principal: &Principal, held: Held) {
        if held == Held::default() {
            return;
        }
        self.total.small -= held.small;
        self.total.large -= held.large;
        if let Some(own) = self.principals.get_mut(principal) {
            own.small -= held.small;
            own.large -= held.large;
            if *own == Held::default() {
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
        let counts = rooms.lock();
        (counts.total.small, counts.total.large, rooms.0.admission.counts().bytes)
    }

    #[test]
    fn the_bodies_of_one_principal_hold_at_most_half_of_the_limit() {
        let rooms = rooms(64 * MIB);
        let fits = 16 * MIB + SMALL;
        let _a = body(&rooms, 1, fits).unwrap();
        let _b = body(&rooms, 1, fits).unwrap();
        assert!(matches!(body(&rooms, 1, SMALL + 1), Err(Error::Full { .. })));
        let _c = body(&rooms, 2, fits).unwrap();
        assert_eq!(held(&rooms).2, 48 * MIB + 3 * SMALL);
    }

    #[test]
    fn bodies_hold_at_most_three_quarters_of_the_limit() {
        let rooms = rooms(64 * MIB);
        let fits = 16 * MIB + SMALL;
        let _three = [1, 2, 3].map(|who| body(&rooms, who, fits).unwrap());
        let refused = body(&rooms, 4, SMALL + 1).unwrap_err();
        assert!(matches!(refused, Error::Full { limit, .. } if limit == 48 * MIB), "{refused}");
        assert_eq!(
            held(&rooms),
            (3 * SMALL, 48 * MIB, 48 * MIB + 3 * SMALL),
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
        let _one = body(&rooms, 1, SMALL).unwrap();
        assert!(body(&rooms, 1, SMALL).is_err());
        let _two = body(&rooms, 2, SMALL).unwrap();
        assert!(body(&rooms, 3, 1).is_err());
        assert_eq!(held(&rooms), (2 * SMALL, 0, most + 2 * SMALL));
    }

    #[test]
    fn a_body_that_is_alone_may_be_larger_than_its_part() {
        let rooms = rooms(MIB);
        let mut large = body(&rooms, 1, 4 * MIB).unwrap();
        assert!(matches!(body(&rooms, 2, SMALL + 1), Err(Error::Full { .. })));
        large.grow_to(5 * MIB).unwrap();
        drop(large);
        assert!(body(&rooms, 2, SMALL + 1).is_ok());
    }

    #[test]
    fn memory_shrinks_from_the_limit_first_and_is_freed_with_the_body() {
        let rooms = rooms(64 * MIB);
        let mut share = body(&rooms, 1, SMALL + 100).unwrap();
        assert_eq!(held(&rooms), (SMALL, 100, SMALL + 100));
        share.shrink_to(SMALL + 30);
        assert_eq!(held(&rooms), (SMALL, 30, SMALL + 30));
        share.shrink_to(7);
        assert_eq!(held(&rooms), (7, 0, 7));
        share.grow_to(SMALL + 5).unwrap();
        drop(share);
        assert_eq!(held(&rooms), (0, 0, 0));
        assert!(rooms.lock().principals.is_empty());
    }

    #[test]
    fn what_a_request_takes_over_counts_against_the_limit() {
        let rooms = rooms(64 * MIB);
        let small = body(&rooms, 1, 100).unwrap().into_room().unwrap();
        assert_eq!((small.bytes(), held(&rooms)), (100, (0, 0, 100)));
        let large = body(&rooms, 1, SMALL + 1).unwrap().into_room().unwrap();
        assert_eq!((large.bytes(), held(&rooms)), (SMALL + 1, (0, 0, SMALL + 101)));
        drop((small, large));
        assert_eq!(held(&rooms), (0, 0, 0));
    }
}
