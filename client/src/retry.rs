//! When to try again: pauses that grow, and how long to go on. Time is an argument.
//!
//! What runs out is patience. All time without an open stream costs it: attempts that hang, and
//! the pauses between them, whether nothing answers or a server says that it drains or is full.
//! An open stream costs none, and a sample refills it. A server that breaks off each time before
//! it has made a sample does cost patience, so that a request which harms servers is not repeated
//! without end.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::events::scaled;

/// By how much our pauses vary, so that clients of one server do not return together.
const JITTER: f64 = 0.25;
/// Patience with an address where nothing has answered yet: it may be wrong.
const PATIENCE_WITH_STRANGERS: Duration = Duration::from_secs(3);
/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// How long to retry, and after which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How long to go on without an open stream, in all since the last sample, whatever the server
    /// says meanwhile; zero: never retry.
    pub patience: Duration,
    /// Pause before the second attempt; each further pause is twice as long. All pauses vary by a
    /// quarter, and are never shorter than what the server asks for.
    pub first_pause: Duration,
    /// Longest pause of our own.
    pub longest_pause: Duration,
    /// Seed of the variation of pauses; `None`: a random one.
    pub seed: Option<u64>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5 * 60),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(15),
            seed: None,
        }
    }
}

/// The attempts of one call, or of one run.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry: Retry,
    random: fastrand::Rng,
    /// Failed attempts since the last sample.
    failures: u32,
    /// The waits that are over, since the last sample.
    waited: Duration,
    /// The beginning of the present wait.
    waiting_since: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(retry: Retry) -> Self {
        let random = retry.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { retry, random, failures: 0, waited: Duration::ZERO, waiting_since: None }
    }

    /// Notes that an attempt begins.
    pub(crate) fn begins(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Notes an event of an open stream.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// Notes that a sample arrived.
    pub(crate) fn progressed(&mut self) {
        (self.failures, self.waited, self.waiting_since) = (0, Duration::ZERO, None);
    }

    /// Returns the pause after an attempt that failed with `error`; `None` if another one would
    /// not help, patience is over, or the server asks for more than what is left of it.
    ///
    /// * `reached`: whether a server ever answered at this address.
    pub(crate) fn pause(&mut self, error: &Error, reached: bool, now: Instant) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        self.heard(now);
        let patience = match reached {
            true => self.retry.patience,
            false => self.retry.patience.min(PATIENCE_WITH_STRANGERS),
        };
        let left = patience.checked_sub(self.waited).filter(|left| !left.is_zero())?;
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        if asked > left {
            return None;
        }
        let pause = self.own_pause().max(scaled(asked, 1.0 + JITTER * self.random.f64()));
        self.failures = self.failures.saturating_add(1);
        self.waiting_since = Some(now);
        // The last attempt is at the end of our patience.
        Some(pause.min(left))
    }

    fn own_pause(&mut self) -> Duration {
        let doubled = self.retry.first_pause.saturating_mul(2u32.saturating_pow(self.failures));
        let spread = 1.0 + JITTER * (2.0 * self.random.f64() - 1.0);
        scaled(doubled.min(self.retry.longest_pause), spread)
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn broken() -> Error {
        Error::Interrupted("reset".to_owned())
    }

    /// A refusal of a server that drains.
    fn draining(pause: Duration) -> Error {
        let mut details = ErrorDetails::with_error_info("DRAINING", "ddpm", []);
        details.set_retry_info(Some(pause));
        Error::from_status(&Status::with_error_details(Code::Unavailable, "later", details))
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn backoff() -> Backoff {
        Backoff::new(Retry { seed: Some(7), ..Retry::default() })
    }

    /// Fails until patience is over, each time at once; returns the pauses.
    fn pauses(backoff: &mut Backoff, reached: bool, now: &mut Instant) -> Vec<Duration> {
        let mut pauses = Vec::new();
        backoff.begins(*now);
        while let Some(pause) = backoff.pause(&broken(), reached, *now) {
            pauses.push(pause);
            *now += pause;
        }
        pauses
    }

    #[test]
    fn pauses_double_to_the_longest_within_a_quarter_and_fill_the_patience() {
        let mut now = Instant::now();

        let pauses = pauses(&mut backoff(), true, &mut now);

        let doubled = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0].into_iter().chain(std::iter::repeat(15.0));
        let (_, but_the_last) = pauses.split_last().unwrap();
        for (pause, middle) in but_the_last.iter().zip(doubled) {
            assert!((pause.as_secs_f64() / middle - 1.0).abs() <= 0.25, "{pause:?} {middle}");
        }
        // They differ, and in sum they are the five minutes.
        assert_ne!(but_the_last[8], but_the_last[9]);
        assert_eq!(pauses.iter().sum::<Duration>(), Retry::default().patience);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let all = |seed| {
            let mut backoff = Backoff::new(Retry { seed: Some(seed), ..Retry::default() });
            pauses(&mut backoff, true, &mut Instant::now())
        };

        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn a_servers_pause_is_a_lower_bound() {
        let now = Instant::now();
        for asked in [0.0, 0.1, 4.0, 200.0] {
            let pause = backoff().pause(&draining(seconds(asked)), true, now).unwrap();

            let (least, most) = (asked.max(0.25 * 0.75), (asked * 1.25).max(0.25 * 1.25));
            assert!((least..=most).contains(&pause.as_secs_f64()), "{asked}: {pause:?}");
        }
    }

    #[test]
    fn a_pause_that_outlasts_patience_is_not_waited_for() {
        let (mut backoff, now) = (backoff(), Instant::now());

        let just = backoff.pause(&draining(Retry::default().patience), true, now);
        assert_eq!(just, Some(Retry::default().patience));
        let more = Retry::default().patience + Duration::from_millis(1);
        assert_eq!(self::backoff().pause(&draining(more), true, now), None);
    }

    #[test]
    fn an_absurd_pause_of_a_server_is_cut() {
        let mut backoff = Backoff::new(Retry { patience: Duration::MAX, ..Retry::default() });

        let pause =
            backoff.pause(&draining(Duration::from_secs(u64::MAX / 2)), true, Instant::now());

        assert!(pause.unwrap() <= seconds(1.25 * 24.0 * 3600.0));
    }

    #[test]
    fn a_server_that_answers_without_a_sample_is_waited_for_as_long_as_one_that_is_silent() {
        let (mut backoff, start) = (backoff(), Instant::now());
        let (mut now, mut attempts) = (start, 0);
        while let Some(pause) = backoff.pause(&draining(seconds(1.0)), true, now) {
            (now, attempts) = (now + pause, attempts + 1);
            backoff.begins(now);
        }

        // What was left at the end was less than the second that the server asked for.
        let waited = now - start;
        let patience = Retry::default().patience;
        assert!(waited <= patience && waited > patience - seconds(1.0), "{waited:?}");
        assert!(attempts > 20, "{attempts}");
    }

    #[test]
    fn a_drain_of_12_s_and_a_restart_are_outlived_within_a_pause_of_their_end() {
        let (mut backoff, start) = (backoff(), Instant::now());
        let (drained, back) = (start + seconds(12.0), start + seconds(20.0));
        let mut now = start;
        while now < back {
            let error = if now < drained { draining(seconds(1.0)) } else { broken() };
            backoff.begins(now);
            now += backoff.pause(&error, true, now).unwrap();
        }

        assert!(now <= back + seconds(15.0 * 1.25));
    }

    #[test]
    fn the_pause_that_a_server_asked_for_costs_patience() {
        let (mut backoff, start) = (backoff(), Instant::now());
        let pause = backoff.pause(&draining(seconds(200.0)), true, start).unwrap();

        assert!(backoff.pause(&broken(), true, start + pause).is_some());
        assert_eq!(backoff.pause(&broken(), true, start + Retry::default().patience), None);
    }

    #[test]
    fn a_sample_refills_patience_and_resets_the_pauses() {
        let (mut backoff, mut now) = (backoff(), Instant::now());
        let before = pauses(&mut backoff, true, &mut now).len();

        backoff.progressed();

        let after = pauses(&mut backoff, true, &mut now);
        assert!(after[0] < seconds(0.32));
        assert!(after.len().abs_diff(before) <= 3, "{} {before}", after.len());
    }

    #[test]
    fn an_open_stream_costs_no_patience_but_does_not_refill_it() {
        let (mut backoff, mut now) = (backoff(), Instant::now());
        let (mut waited, mut attempts) = (Duration::ZERO, 0);
        while let Some(pause) = backoff.pause(&broken(), true, now) {
            (waited, now, attempts) = (waited + pause, now + pause, attempts + 1);
            backoff.begins(now);
            backoff.heard(now);
            // It runs for an hour without a sample.
            now += seconds(3600.0);
        }

        assert_eq!(waited, Retry::default().patience);
        assert!(attempts > 20, "{attempts}");
    }

    #[test]
    fn a_stranger_gets_three_seconds() {
        let mut now = Instant::now();

        let pauses = pauses(&mut backoff(), false, &mut now);

        assert_eq!(pauses.iter().sum::<Duration>(), PATIENCE_WITH_STRANGERS);
    }

    #[test]
    fn an_attempt_that_hangs_costs_patience() {
        let (mut backoff, now) = (backoff(), Instant::now());
        backoff.begins(now);

        assert_eq!(backoff.pause(&broken(), false, now + seconds(10.0)), None);
    }

    #[test]
    fn without_patience_nothing_is_tried_again() {
        let mut never = Backoff::new(Retry { patience: Duration::ZERO, ..Retry::default() });

        assert_eq!(never.pause(&broken(), true, Instant::now()), None);
        assert_eq!(never.pause(&draining(seconds(1.0)), true, Instant::now()), None);
    }

    #[test]
    fn a_lasting_error_is_final() {
        let error = Error::Protocol("a gap".to_owned());

        assert_eq!(backoff().pause(&error, true, Instant::now()), None);
    }
}
