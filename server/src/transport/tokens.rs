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

    /// Changes rate and burst from now on.
    fn set(&mut self, rate: f64, burst: f64, now: Instant) {
        self.fill(now);
        (self.rate, self.burst) = (rate, burst);
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

/// Frames that every connection may send at once, however many its peer has.
const LEAST_BURST: f64 = 20.0;

/// Least rate of one connection, in frames per second.
const LEAST_RATE: f64 = 1.0;

/// What pays for the frames of a peer, shared by its connections.
#[derive(Debug)]
pub(super) struct PeerTokens {
    all: TokenBucket,
    connections: usize,
}

impl PeerTokens {
    pub(super) fn new(all: TokenBucket) -> Self {
        Self { all, connections: 0 }
    }

    /// Sets how many connections share it.
    pub(super) fn set_connections(&mut self, connections: usize) {
        self.connections = connections;
    }

    /// Returns whether nothing would be lost if it were forgotten.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.all.is_full(now)
    }

    /// Returns the tokens of one more connection.
    pub(super) fn share(&self, now: Instant) -> TokenBucket {
        TokenBucket::new(self.all.rate, self.all.burst, now)
    }

    /// Returns how long a connection waits: until its peer's debts or its own are paid. One that
    /// keeps to its part of the rate never waits for what the others of its peer send.
    pub(super) fn wait(&mut self, own: &mut TokenBucket, now: Instant) -> Duration {
        let sharers = self.connections.max(1) as f64;
        let (rate, burst) = (self.all.rate / sharers, self.all.burst / sharers);
        own.set(rate.max(LEAST_RATE), burst.max(LEAST_BURST), now);
        self.all.wait(now).min(own.wait(now))
    }

    /// Pays for frames of a connection.
    pub(super) fn pay(&mut self, own: &mut TokenBucket, tokens: f64, now: Instant) {
        self.all.pay(tokens, now);
        own.pay(tokens, now);
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

    #[test]
    fn a_connection_waits_for_its_own_frames_and_not_for_those_of_its_peer() {
        let now = Instant::now();
        let mut peer = PeerTokens::new(TokenBucket::new(100.0, 200.0, now));
        peer.set_connections(2);
        let (mut flood, mut quiet) = (peer.share(now), peer.share(now));
        for own in [&mut flood, &mut quiet] {
            assert_eq!(peer.wait(own, now), Duration::ZERO);
        }
        peer.pay(&mut flood, 250.0, now);
        peer.pay(&mut quiet, 100.0, now);
        // 150 of the peer at 100 per second: more than the flood's own 150 at 50 allow.
        assert_eq!(peer.wait(&mut flood, now), seconds(1.5));
        assert_eq!(peer.wait(&mut quiet, now), Duration::ZERO);
        peer.pay(&mut quiet, 1.0, now);
        assert_eq!(peer.wait(&mut quiet, now), seconds(0.02));
    }

    #[test]
    fn a_connection_of_many_may_still_greet_and_call() {
        let now = Instant::now();
        let mut peer = PeerTokens::new(TokenBucket::new(100.0, 200.0, now));
        peer.set_connections(1000);
        let mut own = peer.share(now);
        peer.all.pay(10_000.0, now);
        assert_eq!(peer.wait(&mut own, now), Duration::ZERO);
        peer.pay(&mut own, 20.0, now);
        assert_eq!(peer.wait(&mut own, now), Duration::ZERO);
        peer.pay(&mut own, 1.0, now);
        assert_eq!(peer.wait(&mut own, now), seconds(1.0));
    }
}
