//! Notices other processes: the time that our threads wait for a core although they could run.
//!
//! Linux counts it for each thread (`/proc/self/task/*/schedstat`, the second number, in ns). On a
//! quiet machine that is a few microseconds a call, for waking up; each time that somebody else has
//! our core it is a slice of theirs, milliseconds. Compared with wall over processor time this
//! needs no idea of how many cores a call keeps busy, which differs from size to size.
//!
//! Where the system does not count, every call passes for undisturbed, and quartiles alone have to
//! do. The time that a hypervisor takes from the whole machine is not counted anywhere.

use std::fs;
use std::time::Duration;

/// How long a call took, and whether others had our cores meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// Wall time of the call, in seconds.
    pub(crate) seconds: f64,
    pub(crate) disturbed: bool,
}

/// Share of a call that its threads may wait for a core.
const TOLERATED_SHARE: f64 = 0.05;
/// What they may wait beyond that: waking up takes a moment on a quiet machine too.
const TOLERATED: Duration = Duration::from_micros(50);

/// Runs a call that returns its own duration, and says whether it was disturbed.
///
/// # Errors
///
/// Those of the call.
pub(crate) fn observe<E>(call: impl FnOnce() -> Result<Duration, E>) -> Result<Reading, E> {
    let before = waited();
    let duration = call()?;
    let waited = waited().zip(before).map(|(after, before)| after.saturating_sub(before));
    let tolerated = duration.mul_f64(TOLERATED_SHARE) + TOLERATED;
    let disturbed = waited.is_some_and(|waited| waited > tolerated);
    Ok(Reading { seconds: duration.as_secs_f64(), disturbed })
}

/// Returns how long the threads of this process have waited for a core, all together; `None` if
/// the system does not count it.
fn waited() -> Option<Duration> {
    let mut total: u64 = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end meanwhile.
        if let Ok(counts) = fs::read_to_string(task.ok()?.path().join("schedstat")) {
            let waited: u64 = counts.split_whitespace().nth(1)?.parse().ok()?;
            total = total.saturating_add(waited);
        }
    }
    Some(Duration::from_nanos(total))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_call_whose_threads_share_their_cores_is_disturbed() {
        if fs::read_to_string("/proc/self/schedstat").is_err() {
            assert_eq!(waited(), None, "the system does not count it");
            return;
        }
        assert!(waited().is_some());
        // More threads than cores, in this process: they wait for each other.
        let threads = 2 * thread::available_parallelism().unwrap().get();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let reading = observe(|| {
                thread::sleep(Duration::from_millis(200));
                Ok::<_, ()>(Duration::from_millis(200))
            });
            // A thread that has ended is no longer counted.
            done.store(true, Ordering::Relaxed);
            assert!(reading.unwrap().disturbed);
        });
    }

    #[test]
    fn a_reading_has_the_duration_of_its_call_and_the_error_of_one_that_fails() {
        let reading = observe(|| Ok::<_, ()>(Duration::from_millis(1500))).unwrap();
        assert_eq!(reading.seconds, 1.5);
        assert_eq!(observe(|| Err::<Duration, _>("broken")), Err("broken"));
    }
}
