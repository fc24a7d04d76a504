//! When work will be done, if nothing else arrives: closed forms of the scheduler's shares.
//!
//! Principals share the device equally, and requests share what their principal is given. Until a
//! request of w seconds is done, each other request of its principal has been given the least of w
//! and what it still takes; until a principal has been given D seconds, so have the
//! others: the least of D and what they still take. So
//!
//! ```text
//! D      = w + Σ_i min(w_i, w)      over the other requests of the principal
//! finish = D + Σ_q min(W_q, D)      over the other principals, W_q the sum of their requests
//! ```
//!
//! What goes first by the scheduler's rules shortens this: what is urgent of a request goes before
//! requests that are not, a request of priority `Batch` begins behind, and the first second of a
//! principal that used less than its share goes before principals that use theirs up.

use crate::scheduler::Priority;

/// Seconds of a principal that go before principals that have had as much.
const CREDIT: f64 = 1.0;

/// A request that shares the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// The seconds that it still takes.
    pub(super) seconds: f64,
    pub(super) priority: Priority,
}

impl Load {
    fn urgent(&self) -> f64 {
        self.priority.urgent_for().as_secs_f64()
    }

    fn handicap(&self) -> f64 {
        self.priority.handicap().as_secs_f64()
    }

    /// Returns the seconds that another request of the same principal is given before this one is
    /// done.
    fn shared_with(&self, other: &Self) -> f64 {
        let is_urgent = other.seconds <= other.urgent();
        let head_start = if is_urgent { 0.0 } else { self.urgent() + other.handicap() };
        other.seconds.min((self.seconds + self.handicap() - head_start).max(0.0))
    }
}

/// Returns the seconds until a request is done.
///
/// * `load`: with the seconds that it takes alone.
/// * `own`: the other requests of its principal.
/// * `others`: the seconds that each other principal still takes.
pub(super) fn finish(load: Load, own: &[Load], others: &[f64]) -> f64 {
    let of_principal = load.seconds + own.iter().map(|other| load.shared_with(other)).sum::<f64>();
    let share = |other: &f64| {
        let head_start = if *other <= CREDIT { 0.0 } else { CREDIT };
        other.min((of_principal - head_start).max(0.0))
    };
    of_principal + others.iter().map(share).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(seconds: f64) -> Load {
        Load { seconds, priority: Priority::Normal }
    }

    fn loads<const N: usize>(seconds: [f64; N]) -> [Load; N] {
        seconds.map(load)
    }

    #[test]
    fn alone_it_takes_its_own_time() {
        for priority in [Priority::Interactive, Priority::Normal, Priority::Batch] {
            assert_eq!(finish(Load { seconds: 7.0, priority }, &[], &[]), 7.0);
        }
    }

    #[test]
    fn a_second_is_done_before_long_work_of_anyone() {
        assert_eq!(finish(load(1.0), &[load(50.0)], &[1000.0]), 1.0);
        // What is short itself shares with it.
        assert_eq!(finish(load(0.5), &loads([0.2, 0.9]), &[]), 0.5 + 0.2 + 0.5);
    }

    #[test]
    fn principals_share_equally_whatever_their_requests() {
        // 10 s of its own, 9 each of three long requests; then as much of another principal.
        let own = loads([100.0, 100.0, 100.0]);
        assert_eq!(finish(load(10.0), &own, &[]), 10.0 + 3.0 * 9.0);
        assert_eq!(finish(load(10.0), &own, &[1e9]), 37.0 + 36.0);
        assert_eq!(finish(load(10.0), &[], &[3.0, 0.5]), 10.0 + 3.0 + 0.5);
    }

    #[test]
    fn ten_seconds_of_an_interactive_request_go_before_others_of_its_principal() {
        let interactive = Load { priority: Priority::Interactive, ..load(12.0) };
        assert_eq!(finish(interactive, &[load(100.0)], &[]), 12.0 + 2.0);
    }

    #[test]
    fn a_batch_request_lets_others_have_half_a_minute_more() {
        let batch = |seconds| Load { priority: Priority::Batch, ..load(seconds) };
        assert_eq!(finish(batch(10.0), &[load(100.0)], &[]), 10.0 + 40.0);
        assert_eq!(finish(batch(10.0), &[load(0.5)], &[]), 10.5);
        assert_eq!(finish(load(40.0), &[batch(100.0)], &[]), 40.0 + 9.0);
        assert_eq!(finish(load(20.0), &[batch(100.0)], &[]), 20.0);
    }
}
