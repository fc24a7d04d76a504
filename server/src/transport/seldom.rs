//! Lines of the log that a peer can cause at will come at most once in a while. Pure.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts what happens, and says when to log it.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    count: u64,
    logged: Option<Instant>,
}

impl Seldom {
    /// Counts an event. Returns the number since the last line if it is time for the next.
    pub(super) fn happened(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let due = self.logged.is_none_or(|logged| now.duration_since(logged) >= PAUSE);
        due.then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

/// The same for events of several kinds, each by itself; their number must be bounded.
#[derive(Debug, Default)]
pub(super) struct SeldomEach(Mutex<BTreeMap<String, Seldom>>);

impl SeldomEach {
    /// As [`Seldom::happened`].
    pub(super) fn happened(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(kind) {
            Some(seldom) => seldom.happened(now),
            None => kinds.entry(kind.into()).or_default().happened(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_hide_each_other() {
        let (start, seldom) = (Instant::now(), SeldomEach::default());
        assert_eq!(seldom.happened("a", start), Some(1));
        assert_eq!(seldom.happened("a", start), None);
        assert_eq!(seldom.happened("b", start), Some(1));
        assert_eq!(seldom.happened("a", start + Duration::from_secs(10)), Some(2));
    }

    #[test]
    fn the_first_event_is_logged_and_then_their_number_every_ten_seconds() {
        let start = Instant::now();
        let mut seldom = Seldom::default();
        assert_eq!(seldom.happened(start), Some(1));
        for tenth in 1..100 {
            assert_eq!(seldom.happened(start + Duration::from_millis(100 * tenth)), None);
        }
        assert_eq!(seldom.happened(start + Duration::from_secs(10)), Some(100));
    }
}
