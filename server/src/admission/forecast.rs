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
//! What goes first by the scheduler's rules shortens this: the first second of a request goes
//! before requests that have had theirs, and the first second of a principal that used less than
//! its share before principals that use theirs up.

/// Seconds that go before work that has had as much.
const HEAD_START: f64 = 1.0;

/// The work of one principal: the seconds that each of its requests still takes.
pub(super) type Backlog = Vec<f64>;

/// Returns the seconds until a request is done.
///
/// * `work`: the seconds that it takes alone.
/// * `own`: the other requests of its principal.
/// * `others`: the other principals.
pub(super) fn finish(work: f64, own: &Backlog, others: &[Backlog]) -> f64 {
    let of_principal = work + shared(work, own.iter().copied());
    of_principal + shared(of_principal, others.iter().map(|backlog| backlog.iter().sum()))
}

/// Returns the seconds that others are given until `work` seconds are.
fn shared(work: f64, others: impl Iterator<Item = f64>) -> f64 {
    let share = |other: f64| {
        let is_short = other <= HEAD_START;
        other.min(if is_short { work } else { (work - HEAD_START).max(0.0) })
    };
    others.map(share).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_takes_its_own_time() {
        assert_eq!(finish(7.0, &vec![], &[]), 7.0);
    }

    #[test]
    fn a_second_is_done_before_long_work_of_anyone() {
        assert_eq!(finish(1.0, &vec![50.0], &[vec![1000.0]]), 1.0);
        // What is short itself shares with it.
        assert_eq!(finish(0.5, &vec![0.2, 0.9], &[]), 0.5 + 0.2 + 0.5);
    }

    #[test]
    fn principals_share_equally_whatever_their_requests() {
        // 10 s of its own, 9 each of three long requests; then as much of another principal.
        let own = vec![100.0, 100.0, 100.0];
        assert_eq!(finish(10.0, &own, &[]), 10.0 + 3.0 * 9.0);
        assert_eq!(finish(10.0, &own, &[vec![1e9]]), 37.0 + 36.0);
        assert_eq!(finish(10.0, &vec![], &[vec![2.0, 1.0], vec![0.5]]), 10.0 + 3.0 + 0.5);
    }
}
