//! A token bucket: a rate with a burst. Pure; time is an input.

use std::time::Duration;

use tokio::time::Instant;

/// Fills at a rate up to a burst, and is paid from.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// Tokens per second.
    rate: f64,
    /// Most tokens that it holds.
    burst: f64,
    /// Below zero when more was paid than it held.
    tokens: f64,
    /// When `tokens` was true.
    at: Instant,
}

impl TokenBucket {
    /// Returns a full bucket.
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Takes tokens, even those that it does not hold yet: what they pay for has happened.
    pub(super) fn pay(&mut self, tokens: f64, now: Instant) {
        self.fill(now);
        self.tokens -= tokens;
    }

    /// Returns how long to wait until debts are paid; zero if there are none.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        match self.tokens < 0.0 {
            true => Duration::from_secs_f64(-self.tokens / self.rate),
            false => Duration::ZERO,
        }
    }

    /// Returns whether nothing would be lost if it were forgotten.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits_for_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        bucket.pay(200.0, start);
        assert_eq!(bucket.wait(start), Duration::ZERO);
        bucket.pay(50.0, start);
        assert_eq!(bucket.wait(start), seconds(0.5));
        assert_eq!(bucket.wait(start + seconds(0.25)), seconds(0.25));
        assert_eq!(bucket.wait(start + seconds(0.5)), Duration::ZERO);
    }

    #[test]
    fn it_never_holds_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        assert!(bucket.is_full(start + seconds(60.0)));
        bucket.pay(201.0, start + seconds(60.0));
        assert_eq!(bucket.wait(start + seconds(60.0)), seconds(0.01));
        assert!(!bucket.is_full(start + seconds(62.0)));
        assert!(bucket.is_full(start + seconds(62.02)));
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_changes_nothing() {
        let start = Instant::now() + seconds(1.0);
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        bucket.pay(300.0, start);
        assert_eq!(bucket.wait(start - seconds(1.0)), seconds(1.0));
        assert_eq!(bucket.wait(start), seconds(1.0));
    }
}
