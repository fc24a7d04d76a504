//! Decides whether there is room for a request. Nothing waits here: a request is admitted
//! at once, or refused with the time after which to retry.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;

/// The limits on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_samples: u32,
    pub(crate) max_evals: u64,
    pub(crate) max_watched_samples: u32,
    pub(crate) max_queued_samples: u64,
    pub(crate) max_requests: u32,
    pub(crate) max_request_bytes: u64,
    /// Most bytes of the rows and inputs of all requests together.
    pub(crate) max_held_bytes: u64,
}

/// Counts the work that is admitted and not yet done.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    counts: Mutex<Counts>,
    idle: Notify,
}

/// The work that is admitted and not yet done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) requests: u32,
    pub(crate) samples: u64,
    pub(crate) evals: u64,
    /// Time of the device for `evals`, at the measured speed of each model.
    pub(crate) seconds: f64,
    /// Bytes of rows and inputs, including those of requests that are being checked.
    pub(crate) bytes: u64,
    pub(crate) draining: bool,
}

/// Memory held for a request that is being checked; freed on drop.
#[derive(Debug)]
pub(crate) struct Room {
    admission: Admission,
    bytes: u64,
}

/// The work and memory that a request needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) samples: u64,
    pub(crate) evals: u64,
    pub(crate) seconds_per_eval: f64,
    /// Bytes of its rows and inputs.
    pub(crate) bytes: u64,
}

/// Room for one admitted request; freed on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Admission,
    demand: Demand,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let counts = Mutex::new(Counts::default());
        Self(Arc::new(Shared { limits, counts, idle: Notify::new() }))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.lock()
    }

    /// Holds memory for a request while it is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Draining`].
    pub(crate) fn hold(&self, bytes: u64) -> Result<Room, Error> {
        let mut counts = self.lock();
        if counts.draining {
            return Err(Error::Draining);
        }
        self.check_bytes(&counts, bytes)?;
        counts.bytes += bytes;
        drop(counts);
        Ok(Room { admission: self.clone(), bytes })
    }

    /// Checks the memory limit. A larger request is admitted if it is alone.
    fn check_bytes(&self, counts: &Counts, bytes: u64) -> Result<(), Error> {
        let limit = self.0.limits.max_held_bytes;
        if counts.bytes == 0 || counts.bytes.saturating_add(bytes) <= limit {
            return Ok(());
        }
        let what = "the rows and inputs of requests hold too many bytes";
        Err(Error::Full { what, limit, retry_after: counts.retry_after() })
    }

    /// Refuses all requests from now on.
    pub(crate) fn drain(&self) {
        self.lock().draining = true;
        self.0.idle.notify_waiters();
    }

    /// Waits until every admitted request is done.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.0.idle.notified();
            if self.lock().requests == 0 {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Returns when to retry: when the admitted work should be done, but soon, since other
    /// clients may leave earlier.
    fn retry_after(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(1.0, 10.0))
    }
}

impl Room {
    /// Admits the request in place of its held memory; returns the counts before it.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Draining`].
    pub(crate) fn admit(mut self, demand: Demand) -> Result<(Permit, Counts), Error> {
        let admission = self.admission.clone();
        let limits = admission.0.limits;
        let mut counts = admission.lock();
        counts.bytes -= std::mem::take(&mut self.bytes);
        let retry_after = counts.retry_after();
        if counts.draining {
            return Err(Error::Draining);
        }
        if counts.requests >= limits.max_requests {
            let limit = u64::from(limits.max_requests);
            return Err(Error::Full { what: "too many requests at once", limit, retry_after });
        }
        // A request that is larger than the queue is admitted if it is alone.
        if counts.samples > 0 && counts.samples + demand.samples > limits.max_queued_samples {
            let limit = limits.max_queued_samples;
            return Err(Error::Full { what: "too many samples are queued", limit, retry_after });
        }
        admission.check_bytes(&counts, demand.bytes)?;
        let before = *counts;
        counts.requests += 1;
        counts.samples += demand.samples;
        counts.evals += demand.evals;
        counts.seconds += demand.evals as f64 * demand.seconds_per_eval;
        counts.bytes += demand.bytes;
        drop(counts);
        Ok((Permit { admission, demand }, before))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.admission.lock().bytes -= self.bytes;
        }
    }
}

impl Permit {
    /// Frees the room of finished work.
    pub(crate) fn give_back(&mut self, samples: u64, evals: u64) {
        let (samples, evals) = (samples.min(self.demand.samples), evals.min(self.demand.evals));
        self.demand.samples -= samples;
        self.demand.evals -= evals;
        let mut counts = self.admission.lock();
        counts.samples -= samples;
        counts.evals -= evals;
        counts.seconds = (counts.seconds - evals as f64 * self.demand.seconds_per_eval).max(0.0);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back(self.demand.samples, self.demand.evals);
        let mut counts = self.admission.lock();
        counts.requests -= 1;
        counts.bytes -= self.demand.bytes;
        if counts.requests == 0 {
            // Rounding leaves a remainder.
            counts.seconds = 0.0;
            self.admission.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admission(max_queued_samples: u64, max_requests: u32) -> Admission {
        Admission::new(Limits {
            max_samples: 1000,
            max_evals: 1000,
            max_watched_samples: 1,
            max_queued_samples,
            max_requests,
            max_request_bytes: 1,
            max_held_bytes: 1000,
        })
    }

    /// Admits a request of 10 bytes.
    fn admit(
        admission: &Admission,
        samples: u64,
        evals: u64,
        seconds_per_eval: f64,
    ) -> Result<(Permit, Counts), Error> {
        admission.hold(10)?.admit(Demand { samples, evals, seconds_per_eval, bytes: 10 })
    }

    #[test]
    fn requests_that_do_not_fit_are_refused_with_the_time_to_retry() {
        let admission = admission(10, 100);
        let (_permit, before) = admit(&admission, 8, 80, 0.05).unwrap();
        assert_eq!(before, Counts::default());
        match admit(&admission, 3, 30, 0.25) {
            Err(Error::Full { limit: 10, retry_after, .. }) => {
                assert_eq!(retry_after, Duration::from_secs(4));
            }
            other => panic!("{other:?}"),
        }
        assert!(admit(&admission, 2, 20, 0.25).is_ok());
    }

    #[test]
    fn a_draining_server_admits_nothing() {
        let admission = admission(10, 100);
        admission.drain();
        assert!(matches!(admission.hold(0), Err(Error::Draining)));
    }

    #[test]
    fn bytes_are_held_from_the_check_to_the_end_and_freed_on_refusal() {
        let admission = admission(100, 100);
        let demand = Demand { samples: 1, evals: 40, seconds_per_eval: 0.5, bytes: 700 };
        let room = admission.hold(400).unwrap();
        assert_eq!(admission.counts().bytes, 400);
        // The demand that the check found replaces the bytes held for the check.
        let (permit, _) = room.admit(demand).unwrap();
        assert_eq!(admission.counts().bytes, 700);
        match admission.hold(301) {
            Err(Error::Full { limit: 1000, retry_after, .. }) => {
                assert_eq!(retry_after, Duration::from_secs(10), "20 s of work");
            }
            other => panic!("{other:?}"),
        }
        let room = admission.hold(300).unwrap();
        let larger = Demand { bytes: 301, ..demand };
        assert!(matches!(room.admit(larger), Err(Error::Full { limit: 1000, .. })));
        assert_eq!(admission.counts().bytes, 700, "a refusal frees its bytes");
        drop(permit);
        // A request that is larger than the limit fits if it is alone.
        let (_permit, _) = admission.hold(5000).unwrap().admit(larger).unwrap();
        assert_eq!(admission.counts().bytes, 301);
    }

    #[tokio::test]
    async fn idle_waits_for_the_last_request() {
        let admission = admission(10, 100);
        let (permit, _) = admit(&admission, 1, 1, 0.0).unwrap();
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        waiting.await.unwrap();
    }

    proptest! {
        #[test]
        fn the_limit_is_never_exceeded_and_all_room_is_freed(
            sizes in prop::collection::vec(1u64..8, 1..40),
            keep in prop::collection::vec(any::<bool>(), 40),
        ) {
            let admission = admission(20, 6);
            let mut permits = Vec::new();
            for (size, keep) in sizes.iter().zip(keep) {
                if let Ok((permit, _)) = admit(&admission, *size, size * 10, 0.1) {
                    permits.push(permit);
                }
                let counts = admission.counts();
                prop_assert!(counts.samples <= 20 && counts.requests <= 6);
                if !keep {
                    permits.pop();
                }
            }
            drop(permits);
            prop_assert_eq!(admission.counts(), Counts::default());
        }
    }
}
